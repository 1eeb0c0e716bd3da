// SPDX-License-Identifier: Apache-2.0
#include "engine/base/names.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "savedmodel/error.h"

namespace savedmodel::engine {
namespace {

constexpr std::size_t kNear = 3;
constexpr std::size_t kListed = 10;

// Ignores spelling variants such as GlobalPooling and global_pooling.
std::string Simple(const std::string& text) {
  std::string simple;
  for (const char c : text) {
    if (c != '_') simple += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return simple;
}

// The Levenshtein distance: insertions, deletions and replacements of characters.
std::size_t Distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string QuoteAll(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kListed; ++i) text += (i ? ", " : "") + Quote(names[i]);
  if (names.size() > kListed) text += " and " + std::to_string(names.size() - kListed) + " more";
  return text.empty() ? "none" : text;
}

std::vector<std::string> Near(const std::string& name, const std::vector<std::string>& names) {
  const std::string wanted = Simple(name);
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const std::string& candidate : names) {
    const std::string known = Simple(candidate);
    if (known.empty() || wanted.empty()) continue;
    // A name is often given without its scopes or calls.
    const bool last = known.size() > wanted.size() && known[known.size() - wanted.size() - 1] == '/' &&
                      known.compare(known.size() - wanted.size(), wanted.size(), wanted) == 0;
    const bool part = wanted.size() > 2 && known.find(wanted) != std::string::npos;
    const std::size_t longest = std::max(wanted.size(), known.size());
    const std::size_t shortest = std::min(wanted.size(), known.size());
    if (last || part) {
      scored.emplace_back(last || known == wanted ? 0 : 1, candidate);
    } else if (longest - shortest <= longest / 3) {
      const std::size_t distance = Distance(wanted, known);
      if (distance <= std::max<std::size_t>(1, longest / 3)) scored.emplace_back(1 + distance, candidate);
    }
  }
  std::sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return a.second.size() != b.second.size() ? a.second.size() < b.second.size() : a.second < b.second;
  });
  std::vector<std::string> near;
  for (std::size_t i = 0; i < scored.size() && i < kNear; ++i) near.push_back(scored[i].second);
  return near;
}

void ThrowNoSuch(const std::string& what, const std::string& name, const std::vector<std::string>& names) {
  const std::vector<std::string> near = Near(name, names);
  std::string text = "no " + what + " " + Quote(name);
  for (std::size_t i = 0; i < near.size(); ++i) {
    text += (i == 0 ? "; did you mean " : i + 1 == near.size() ? " or " : ", ") + Quote(near[i]);
  }
  text += near.empty() ? "; there are: " + QuoteAll(names) : "?";
  throw UsageError(UsageError::Kind::kName, text);
}

}  // namespace savedmodel::engine
