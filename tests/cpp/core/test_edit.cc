// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/edit.h"
#include "savedmodel/inspect.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Mentions;
using testing::MistakeIn;
using testing::ModelPath;
using testing::Numbers;
using testing::Values;

const std::string kHidden = "StatefulPartitionedCall/StatefulPartitionedCall/Relu";

class EditTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }

 private:
  const testing::TemporaryFolder folder_;
};

TEST_F(EditTest, SignaturesOfTheCopy) {
  Edit edit(ModelPath("mlp"));
  edit.Apply(AddOutputs{"serving_default", {{"hidden", kHidden}}});
  edit.Apply(RenameSignature{"serving_default", "classify"});
  edit.Apply(SetMethodName{"classify", "tensorflow/serving/classify"});
  const auto signatures = edit.signatures();
  ASSERT_EQ(signatures.size(), 1U);
  EXPECT_EQ(signatures.at("classify").method_name, "tensorflow/serving/classify");
  EXPECT_TRUE(edit.Save(Path("copy")).empty());

  const Model model = Model::Load(Path("copy"));
  const std::vector<float> x = Numbers(128);
  const auto results = model.function("classify").Run({Floats(x, {2, 64})});  // by key: hidden, probs
  const auto expected = testing::LoadModel("mlp").function("serving_default").Run({Floats(x, {2, 64})});
  const std::vector<float> probs = Values(results.at(1));
  ASSERT_EQ(probs.size(), 20U);
  for (std::size_t i = 0; i < probs.size(); ++i) EXPECT_NEAR(probs[i], Values(expected.at(0))[i], 1e-5);
  EXPECT_EQ(results.at(0).shape(), (Shape{2, 128}));
  const std::vector<float> hidden = Values(results.at(0));  // after a ReLU
  EXPECT_GE(*std::min_element(hidden.begin(), hidden.end()), 0);
  EXPECT_GT(*std::max_element(hidden.begin(), hidden.end()), 0);
}

TEST_F(EditTest, PruningLeavesWhatSignaturesNeed) {
  Edit edit(ModelPath("mlp"));
  edit.Apply(AddSignature{"embed", {{"x", "serving_default_x"}}, {{"hidden", kHidden}}});
  edit.Apply(RemoveSignature{"serving_default"});
  edit.Apply(Prune{});
  EditOptions options;
  options.format = GraphFormat::kText;
  EXPECT_EQ(edit.Save(Path("small"), options).size(), 3U);
  const MetaGraphInfo info = Inspect(Path("small")).meta_graphs.at(0);
  EXPECT_EQ(info.variables.size(), 2U);
  EXPECT_EQ(Model::Load(Path("small")).function("embed").Run({Floats(Numbers(64), {1, 64})}).size(), 1U);
}

TEST_F(EditTest, CompositesOfAFunction) {
  Edit edit(ModelPath("structures"));
  edit.Apply(AddFunctionSignature{"all", "composite"});
  (void)edit.Save(Path("signed"));
  const Model model = Model::Load(Path("signed"));
  const Signature& signature = model.signatures().at("all");
  std::vector<std::string> keys;
  for (const TensorSpec& spec : signature.inputs) {
    EXPECT_EQ(spec.encoding, Encoding::kDense);
    keys.push_back(spec.key);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"by", "by_1", "by_2", "rows", "rows_1", "rows_2"}));
  const std::int64_t indices[] = {0, 1}, shape[] = {1, 4}, splits[] = {0, 3};
  const std::vector<Tensor> results = model.function("all").Run(
      {Tensor::Copy(DType::kInt64, {1, 2}, indices), Floats({5}), Tensor::Copy(DType::kInt64, {2}, shape),
       Floats({1, 2, 3}), Floats({10}), Tensor::Copy(DType::kInt64, {2}, splits)});
  ASSERT_EQ(results.size(), 7U);  // also, by: indices, values, shape, rows: values, splits, total
  EXPECT_EQ(Values(results[0]), (std::vector<float>{0, 5, 0, 0}));
  EXPECT_EQ(Values(results[2]), (std::vector<float>{15}));
  EXPECT_EQ(Values(results[4]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(Values(results[6]), (std::vector<float>{16}));
}

TEST_F(EditTest, AMistakeChangesNothing) {
  Edit edit(ModelPath("mlp"));
  const UsageError error = MistakeIn([&] { edit.Apply(RemoveSignature{"serving"}); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kName);
  EXPECT_TRUE(Mentions(error, {"no signature 'serving'", "did you mean 'serving_default'?"}));
  EXPECT_EQ(edit.signatures().size(), 1U);
  EXPECT_THROW(edit.Save(ModelPath("mlp")), Error);
}

}  // namespace
}  // namespace savedmodel
