// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Reads and writes JSON like Python's module json, but without fractions. Manifests need no more.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace savedmodel::internal {

struct Json {
  using Text = std::u32string;  // like a Python str: a lone surrogate stands for a byte that is not UTF-8
  using Array = std::vector<Json>;
  using Object = std::map<Text, Json>;
  std::variant<std::nullptr_t, bool, std::int64_t, Text, Array, Object> value;

  // Throw std::invalid_argument if the value has another type, or the member is missing.
  const Object& object() const;
  const Array& array() const;
  const Text& text() const;
  std::int64_t integer() const;
  const Json& at(const char* member) const;
};

// Throws std::invalid_argument.
Json ParseJson(std::string_view text);
// Returns the same text as json.dumps(value, sort_keys=True).
std::string DumpJson(const Json& value);

// Convert file names between bytes and str, like os.fsdecode and os.fsencode in Python.
Json::Text FromBytes(std::string_view bytes);
std::string ToBytes(const Json::Text& text);

}  // namespace savedmodel::internal
