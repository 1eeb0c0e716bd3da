// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <stdexcept>
#include <string>

#include "gtest/gtest.h"
#include "savedmodel/error.h"

namespace savedmodel {
namespace {

TEST(Error, CodesAreNumberedAsInGrpc) {
  EXPECT_EQ(static_cast<int>(Code::kCancelled), 1);
  EXPECT_EQ(static_cast<int>(Code::kDeadlineExceeded), 4);
  EXPECT_EQ(static_cast<int>(Code::kFailedPrecondition), 9);
  EXPECT_EQ(static_cast<int>(Code::kUnauthenticated), 16);
}

TEST(Error, EveryCodeHasItsName) {
  std::set<std::string> names;
  for (int code = 1; code <= 16; ++code) names.insert(CodeName(static_cast<Code>(code)));
  EXPECT_EQ(names.size(), 16U);
  EXPECT_STREQ(CodeName(Code::kNotFound), "NOT_FOUND");
  EXPECT_STREQ(CodeName(Code::kDataLoss), "DATA_LOSS");
  EXPECT_STREQ(CodeName(static_cast<Code>(99)), "UNKNOWN");
}

TEST(Error, KeepsCodeAndMessage) {
  const Error error(Code::kDataLoss, "bytes \xff\xfe are kept");
  EXPECT_EQ(error.code(), Code::kDataLoss);
  EXPECT_STREQ(error.what(), "bytes \xff\xfe are kept");
}

TEST(Error, IsCaughtAsARuntimeError) {
  EXPECT_THROW(throw Error(Code::kInternal, "x"), std::runtime_error);
  EXPECT_THROW(throw UsageError(UsageError::Kind::kValue, "x"), Error);
}

TEST(UsageError, CodeFollowsKind) {
  EXPECT_EQ(UsageError(UsageError::Kind::kName, "").code(), Code::kNotFound);
  for (const auto kind : {UsageError::Kind::kDType, UsageError::Kind::kValue, UsageError::Kind::kArguments}) {
    EXPECT_EQ(UsageError(kind, "").code(), Code::kInvalidArgument);
    EXPECT_EQ(UsageError(kind, "").kind(), kind);
  }
}

}  // namespace
}  // namespace savedmodel
