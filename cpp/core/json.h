// SPDX-License-Identifier: Apache-2.0
// INTERNAL. JSON as Python's module json reads and writes it, but without fractions: what a manifest needs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace savedmodel::internal {

struct Json {
  using Text = std::u32string;  // as a str: half a surrogate pair stands for a byte that is not UTF-8
  using Array = std::vector<Json>;
  using Object = std::map<Text, Json>;
  std::variant<std::nullptr_t, bool, std::int64_t, Text, Array, Object> value;

  // Throw std::invalid_argument for a value of another kind, or a member that is not there.
  const Object& object() const;
  const Array& array() const;
  const Text& text() const;
  std::int64_t integer() const;
  const Json& at(const char* member) const;
};

// Throws std::invalid_argument.
Json ParseJson(std::string_view text);
// As json.dumps(value, sort_keys=True).
std::string DumpJson(const Json& value);

// A str of bytes, and bytes of a str, as Python has the names of files (os.fsdecode, os.fsencode).
Json::Text FromBytes(std::string_view bytes);
std::string ToBytes(const Json::Text& text);

}  // namespace savedmodel::internal
