// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <absl/strings/str_cat.h>

#include <limits>
#include <string_view>

#include "errors.h"

namespace server {
namespace {

constexpr char kNotFinite = '\1';  // before the text of such a number

// Writes the literals that JavaScript and Python have for not finite numbers as strings.
std::string QuoteNotFinite(const std::string& text) {
  std::string quoted;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\' && i + 1 < text.size()) {
      quoted += c;
      quoted += text[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    bool found = false;
    for (const std::string_view literal : {"NaN", "Infinity", "-Infinity"}) {
      if (in_string || text.compare(i, literal.size(), literal) != 0) continue;
      absl::StrAppend(&quoted, "\"\\u0001", absl::string_view(literal.data(), literal.size()), "\"");
      i += literal.size() - 1;
      found = true;
      break;
    }
    if (!found) quoted += c;
  }
  return quoted;
}

}  // namespace

Json ParseJson(const std::string& text) {
  try {
    Json body = Json::parse(text, nullptr, false);
    if (body.is_discarded()) body = Json::parse(QuoteNotFinite(text));
    if (body.is_object()) return body;
  } catch (const Json::exception& error) {
    Refuse("the body is no JSON: ", error.what());
  }
  Refuse("the body is no JSON object");
}

std::optional<double> NotFinite(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  const std::string& text = value.get_ref<const std::string&>();
  if (text.empty() || text[0] != kNotFinite) return std::nullopt;
  using Limits = std::numeric_limits<double>;
  return text == std::string(1, kNotFinite) + "NaN" ? Limits::quiet_NaN()
         : text[1] == '-'                           ? -Limits::infinity()
                                                    : Limits::infinity();
}

}  // namespace server
