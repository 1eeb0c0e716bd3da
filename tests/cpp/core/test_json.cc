// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>
#include <string>

#include "core/json.h"
#include "gtest/gtest.h"

namespace savedmodel::internal {
namespace {

std::string Again(const std::string& text) { return DumpJson(ParseJson(text)); }

TEST(JsonTest, IsWrittenAsPythonSortsIt) {
  EXPECT_EQ(Again(R"( {"b" : [1, -2,{}, [] ], "a":{"z":true,"y":null,"x":false}} )"),
            R"({"a": {"x": false, "y": null, "z": true}, "b": [1, -2, {}, []]})");
  EXPECT_EQ(Again("9223372036854775807"), "9223372036854775807");
}

TEST(JsonTest, Strings) {
  EXPECT_EQ(Again(R"("\"\\\/\b\f\n\r\t\u007f~")"), R"("\"\\/\b\f\n\r\t\u007f~")");
  EXPECT_EQ(Again("\"\xe2\x82\xac \xf0\x9f\x98\x80\""), R"("\u20ac \ud83d\ude00")");
  EXPECT_EQ(Again(R"("\u20AC \ud83d\ude00 \udcff")"), R"("\u20ac \ud83d\ude00 \udcff")");
}

TEST(JsonTest, NamesThatAreNotUtf8) {
  const std::string bytes = "a\xff\xe2\x82-\xe2\x82\xac\xed\xa0\x80\xf0\x9f\x98\x80";
  EXPECT_EQ(FromBytes("a\xff"), std::u32string({U'a', 0xDCFF}));
  EXPECT_EQ(ToBytes(FromBytes(bytes)), bytes);
}

TEST(JsonTest, WhatIsRefused) {
  for (const char* text : {"", "{", "[1", "[1,]", "{\"a\" 1}", "{1: 2}", "1 2", "1.5", "1e3", "nul", "\"a",
                           "\"\\x\"", "\"\\u12\"", "\"\n\"", "\"\xff\"", "99999999999999999999"}) {
    EXPECT_THROW(ParseJson(text), std::invalid_argument) << text;
  }
  EXPECT_THROW(ParseJson(std::string(100'000, '[')), std::invalid_argument);
  EXPECT_THROW((void)ParseJson("{}").at("a"), std::invalid_argument);
  EXPECT_THROW((void)ParseJson("[]").object(), std::invalid_argument);
}

}  // namespace
}  // namespace savedmodel::internal
