// SPDX-License-Identifier: Apache-2.0
// Errors for unknown names: they list similar ones.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/quote.h"

namespace savedmodel::engine {

// The names most similar to `name`, the best first; at most three.
std::vector<std::string> Near(const std::string& name, const std::vector<std::string>& names);

// Throws UsageError: "no <what> 'name'; did you mean 'a' or 'b'?", or all names if none is similar.
[[noreturn]] void ThrowNoSuch(const std::string& what, const std::string& name,
                              const std::vector<std::string>& names);

// "'a', 'b'"; "none" if there are none.
std::string QuoteAll(const std::vector<std::string>& names);

// The keys of a map, sorted.
template <typename Map>
std::vector<std::string> Keys(const Map& map) {
  std::map<std::string, int> sorted;
  for (const auto& [key, value] : map) sorted.emplace(key, 0);
  std::vector<std::string> keys;
  for (const auto& [key, value] : sorted) keys.push_back(key);
  return keys;
}

}  // namespace savedmodel::engine
