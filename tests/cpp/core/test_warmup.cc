// SPDX-License-Identifier: Apache-2.0
// Warm-up requests: recorded, read back, sent to a model.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/warmup.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

namespace fs = std::filesystem;
using testing::Floats;
using testing::Has;
using testing::Mentions;
using testing::MistakeIn;
using testing::ModelPath;
using testing::ThrownBy;
using testing::Values;

class WarmupTest : public ::testing::Test {
 protected:
  std::string Copy(const std::string& model) {
    fs::copy(ModelPath(model), directory_ / model, fs::copy_options::recursive);
    return (directory_ / model).string();
  }

  const testing::TemporaryFolder temporary_;
  const fs::path& directory_ = temporary_.path();
};

WarmupRequest Request(const std::string& signature, std::map<std::string, Tensor> inputs,
                      std::vector<std::string> outputs = {}) {
  return {signature, std::move(inputs), std::move(outputs), {}};
}

TEST_F(WarmupTest, WhatIsRecordedIsRead) {
  const std::string path = Copy("strings");
  const Tensor a = Tensor::Strings({2}, std::vector<std::string>{"left", std::string("\0\xff", 2)});
  const Tensor b = Tensor::Strings({2}, std::vector<std::string>{"", std::string(300, 'y')});
  EXPECT_EQ(RecordWarmup(path, {Request("join", {{"a", a}, {"b", b}}, {"ab"})}), 1U);
  EXPECT_EQ(RecordWarmup(path, {Request("", {{"x", Floats({1.5F, -2}, {2, 1})}})}, true), 2U);
  const auto records = ReadWarmup(path);
  ASSERT_EQ(records.size(), 2U);
  ASSERT_EQ(records[0].size(), 1U);
  const WarmupRequest& join = records[0][0];
  EXPECT_EQ(join.signature, "join");
  EXPECT_EQ(join.outputs, std::vector<std::string>{"ab"});
  EXPECT_EQ(join.inputs.at("a").string(1), a.string(1));
  EXPECT_EQ(join.inputs.at("b").string(1), b.string(1));
  EXPECT_FALSE(join.examples);
  EXPECT_EQ(records[1].at(0).signature, "serving_default");
  EXPECT_EQ(records[1].at(0).inputs.at("x").shape(), (Shape{2, 1}));
  EXPECT_EQ(Values(records[1].at(0).inputs.at("x")), (std::vector<float>{1.5F, -2}));
}

TEST_F(WarmupTest, AModelAnswersIts) {
  const std::string path = Copy("add");
  const Model model = Model::Load(path);
  EXPECT_EQ(ReplayWarmup(model), 0U);
  const WarmupRequest good = Request("serving_default", {{"x", Floats({1})}, {"y", Floats({2})}});
  RecordWarmup(path, {good, good});
  std::vector<std::string> warnings;
  EXPECT_EQ(ReplayWarmup(model, &warnings), 2U);
  EXPECT_TRUE(warnings.empty());
  RecordWarmup(path, {good, Request("serving_default", {{"x", Floats({1})}})});
  const Error missing = ThrownBy([&] { (void)ReplayWarmup(model); });
  EXPECT_EQ(missing.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Mentions(missing, {"warm-up request 2 of '" + path, "'y'"}));
}

TEST_F(WarmupTest, ADamagedFile) {
  const std::string path = Copy("add");
  const Model model = Model::Load(path);
  RecordWarmup(path, {Request("serving_default", {{"x", Floats({1})}, {"y", Floats({2})}})});
  std::fstream(fs::path(path) / kWarmupFile).seekp(30).put('?');
  const Error damaged = ThrownBy([&] { (void)ReplayWarmup(model); });
  EXPECT_EQ(damaged.code(), Code::kDataLoss);
  EXPECT_TRUE(Mentions(damaged, {"record 1 has a wrong checksum"}));
}

TEST_F(WarmupTest, WhatIsNotRecorded) {
  const std::string path = Copy("add");
  EXPECT_TRUE(Has(MistakeIn([&] { RecordWarmup(path, {}); }).what(), "1 to 1000"));
  const WarmupRequest request = Request("serving_default", {{"x", Floats({1})}, {"y", Floats({2})}});
  const std::vector<WarmupRequest> many(kMaxWarmupRecords + 1, request);
  EXPECT_TRUE(Has(MistakeIn([&] { RecordWarmup(path, many); }).what(), "1001"));
  fs::create_directory(fs::path(path) / "assets.extra");
  std::ofstream(fs::path(path) / "assets.extra/savedmodel_manifest.json") << "{}";
  EXPECT_EQ(ThrownBy([&] { RecordWarmup(path, {request}); }).code(), Code::kFailedPrecondition);
  EXPECT_FALSE(fs::exists(fs::path(path) / kWarmupFile));
}

TEST_F(WarmupTest, AFolderThatCanNotBeMade) {
  const std::string path = Copy("add");
  std::ofstream(fs::path(path) / "assets.extra") << "a file";
  const Error error = ThrownBy([&] {
    RecordWarmup(path, {Request("serving_default", {{"x", Floats({1})}})});
  });
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_TRUE(Mentions(error, {"can't create", "assets.extra"}));
}

TEST_F(WarmupTest, AnExample) {
  // features { feature { key: "x" value { float_list { value: 2 } } } }
  const std::string expected("\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\0\0\0@", 17);
  EXPECT_EQ(SerializeExample({{"x", std::vector<float>{2}}}), expected);
}

}  // namespace
}  // namespace savedmodel
