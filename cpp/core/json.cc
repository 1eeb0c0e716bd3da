// SPDX-License-Identifier: Apache-2.0
#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <system_error>

namespace savedmodel::internal {
namespace {

constexpr int kDeepest = 64;
constexpr char32_t kEscape = 0xDC00;  // added to a byte that is not UTF-8

[[noreturn]] void Refuse(const std::string& what) { throw std::invalid_argument(what); }

// Decodes the first code point of `bytes`. Returns its number of bytes; 0 if it is not UTF-8.
std::size_t Decode(std::string_view bytes, char32_t* point) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xC2 ? 0
                           : first < 0xE0 ? 2
                           : first < 0xF0 ? 3
                           : first < 0xF5 ? 4
                                          : 0;
  if (size == 0 || size > bytes.size()) return 0;
  *point = size == 1 ? first : first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
    *point = *point << 6 | (at(i) & 0x3FU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = *point >= 0xD800 && *point < 0xE000;
  return *point < kSmallest[size] || *point > 0x10FFFF || surrogate ? 0 : size;
}

void Encode(char32_t point, std::string* bytes) {
  const auto add = [&](char32_t byte) { bytes->push_back(static_cast<char>(byte)); };
  const auto tail = [&](int shift) { add(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xC0 | point >> 6);
    tail(0);
  } else if (point < 0x10000) {
    add(0xE0 | point >> 12);
    tail(6);
    tail(0);
  } else {
    add(0xF0 | point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : left_(text) {}

  Json Whole() {
    Json value = Value(0);
    Space();
    if (!left_.empty()) Refuse("text follows the end of the JSON value");
    return value;
  }

 private:
  void Space() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t\r\n"), left_.size())); }
  bool Take(std::string_view token) {
    Space();
    if (left_.substr(0, token.size()) != token) return false;
    left_.remove_prefix(token.size());
    return true;
  }
  void Expect(std::string_view token) {
    if (!Take(token)) Refuse("expected '" + std::string(token) + "'");
  }

  Json Value(int depth) {
    if (depth > kDeepest) Refuse("the JSON is nested too deeply");
    if (Take("{")) return {Object(depth)};
    if (Take("[")) return {Array(depth)};
    if (Take("\"")) return {Text()};
    if (Take("true")) return {true};
    if (Take("false")) return {false};
    if (Take("null")) return {nullptr};
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), number);
    if (error != std::errc()) Refuse("a value is not an object, array, string, integer, boolean or null");
    left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
    return {number};
  }
  Json::Object Object(int depth) {
    Json::Object object;
    if (Take("}")) return object;
    do {
      Expect("\"");
      Json::Text name = Text();
      Expect(":");
      object[std::move(name)] = Value(depth + 1);
    } while (Take(","));
    Expect("}");
    return object;
  }
  Json::Array Array(int depth) {
    Json::Array array;
    if (Take("]")) return array;
    do {
      array.push_back(Value(depth + 1));
    } while (Take(","));
    Expect("]");
    return array;
  }
  Json::Text Text() {
    Json::Text text;
    while (!left_.empty() && left_.front() != '"') {
      char32_t point = 0;
      const std::size_t size = Decode(left_, &point);
      if (size == 0 || point < ' ') Refuse("a string is not UTF-8, or has a control character");
      left_.remove_prefix(size);
      if (point == '\\') point = Escaped();
      const bool pair =
          point >= 0xDC00 && point < 0xE000 && !text.empty() && text.back() >= 0xD800 && text.back() < 0xDC00;
      if (pair) {
        text.back() = 0x10000 + ((text.back() - 0xD800) << 10) + (point - 0xDC00);
      } else {
        text.push_back(point);
      }
    }
    if (left_.empty()) Refuse("a string has no closing quote");
    left_.remove_prefix(1);
    return text;
  }
  char32_t Escaped() {
    if (left_.empty()) Refuse("a string has no closing quote");
    const char kind = left_.front();
    left_.remove_prefix(1);
    constexpr std::string_view kKinds = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (const auto known = kKinds.find(kind); known != std::string_view::npos) {
      return static_cast<unsigned char>(kMeant[known]);
    }
    constexpr std::size_t kDigits = 4;
    std::uint32_t point = 0;
    const std::string_view digits = left_.substr(0, kDigits);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
    if (kind != 'u' || error != std::errc() || end != digits.data() + kDigits) {
      Refuse("a string has an unknown escape sequence");
    }
    left_.remove_prefix(kDigits);
    return point;
  }

  std::string_view left_;
};

struct Dumper {
  std::string* out;

  void operator()(std::nullptr_t) const { *out += "null"; }
  void operator()(bool value) const { *out += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { *out += std::to_string(value); }
  void operator()(const Json::Text& text) const {
    *out += '"';
    for (const char32_t point : text) Put(point);
    *out += '"';
  }
  void operator()(const Json::Array& array) const {
    const char* before = "[";
    if (array.empty()) *out += before;
    for (const Json& one : array) {
      *out += before;
      std::visit(*this, one.value);
      before = ", ";
    }
    *out += ']';
  }
  void operator()(const Json::Object& object) const {
    const char* before = "{";
    if (object.empty()) *out += before;
    for (const auto& [name, one] : object) {
      *out += before;
      (*this)(name);
      *out += ": ";
      std::visit(*this, one.value);
      before = ", ";
    }
    *out += '}';
  }

 private:
  void Put(char32_t point) const {
    constexpr std::u32string_view kMeant = U"\"\\\b\f\n\r\t";
    constexpr std::string_view kKinds = "\"\\bfnrt";
    if (const auto known = kMeant.find(point); known != std::u32string_view::npos) {
      *out += '\\';
      *out += kKinds[known];
    } else if (point >= ' ' && point <= '~') {
      *out += static_cast<char>(point);
    } else if (point > 0xFFFF) {
      Hex(0xD800 + ((point - 0x10000) >> 10));
      Hex(0xDC00 + ((point - 0x10000) & 0x3FF));
    } else {
      Hex(point);
    }
  }
  void Hex(char32_t unit) const {
    char text[16];
    std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(unit));
    *out += text;
  }
};

template <typename Kind>
const Kind& As(const Json& json, const char* what) {
  const auto* value = std::get_if<Kind>(&json.value);
  if (value == nullptr) Refuse(std::string("expected a value of type ") + what);
  return *value;
}

}  // namespace

const Json::Object& Json::object() const { return As<Object>(*this, "object"); }
const Json::Array& Json::array() const { return As<Array>(*this, "array"); }
const Json::Text& Json::text() const { return As<Text>(*this, "string"); }
std::int64_t Json::integer() const { return As<std::int64_t>(*this, "integer"); }

const Json& Json::at(const char* member) const {
  const auto found = object().find(FromBytes(member));
  if (found == object().end()) Refuse(std::string("the member '") + member + "' is missing");
  return found->second;
}

Json ParseJson(std::string_view text) { return Parser(text).Whole(); }

std::string DumpJson(const Json& value) {
  std::string text;
  std::visit(Dumper{&text}, value.value);
  return text;
}

Json::Text FromBytes(std::string_view bytes) {
  Json::Text text;
  while (!bytes.empty()) {
    char32_t point = 0;
    const std::size_t size = Decode(bytes, &point);
    text.push_back(size > 0 ? point : kEscape + static_cast<unsigned char>(bytes.front()));
    bytes.remove_prefix(size > 0 ? size : 1);
  }
  return text;
}

std::string ToBytes(const Json::Text& text) {
  std::string bytes;
  for (const char32_t point : text) {
    const bool byte = point >= kEscape + 0x80 && point <= kEscape + 0xFF;
    if (byte) {
      bytes.push_back(static_cast<char>(point - kEscape));
    } else {
      Encode(point, &bytes);
    }
  }
  return bytes;
}

}  // namespace savedmodel::internal
