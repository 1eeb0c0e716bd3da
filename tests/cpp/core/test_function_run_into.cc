// SPDX-License-Identifier: Apache-2.0
// Results in the caller's memory.
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::Tensors;
using testing::Values;

Tensor BufferOn(std::vector<float>* values) {
  return Tensor::WrapMutable(DType::kFloat32, {static_cast<std::int64_t>(values->size())}, values->data(),
                             nullptr);
}

TEST(RunInto, FillsTheBuffers) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");  // a, b -> prod, sum
  std::vector<float> prod(2);
  std::vector<float> sum(2);
  Tensor buffers[] = {BufferOn(&prod), BufferOn(&sum)};
  for (int i = 0; i < 3; ++i) {
    const auto x = static_cast<float>(i);
    const Tensor inputs[] = {Floats({1 + x, 2}), Floats({10, 20})};
    function.RunInto(inputs, buffers);
    EXPECT_EQ(prod, (std::vector<float>{10 + 10 * x, 40}));
    EXPECT_EQ(sum, (std::vector<float>{11 + x, 22}));
    EXPECT_EQ(buffers[0].data(), prod.data());
  }
}

TEST(RunInto, AnEmptyTensorGetsAView) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");
  std::vector<float> prod(1);
  Tensors outputs{BufferOn(&prod), Tensor()};
  function.RunInto(Tensors{Floats({3}), Floats({4})}, outputs);
  EXPECT_EQ(prod, std::vector<float>{12});
  EXPECT_EQ(Values(outputs[1]), std::vector<float>{7});
}

// In contrast to RunInto, Run replaces a result of an earlier call.
TEST(RunInto, RunDoesNotWriteIntoWhatIsThere) {
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  Tensors outputs(1);
  add.Run(Tensors{Floats({1}), Floats({2})}, outputs);
  const Tensor first = outputs[0];
  add.Run(Tensors{Floats({3}), Floats({4})}, outputs);
  EXPECT_EQ(Values(first), std::vector<float>{3});
  EXPECT_EQ(Values(outputs[0]), std::vector<float>{7});
}

TEST(RunInto, ABufferMayBeAnInput) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");
  testing::Buffer memory({2, 3});
  const Tensor a = Tensor::Wrap(DType::kFloat32, {2}, memory.data(), std::shared_ptr<const void>());
  Tensors outputs{Tensor::WrapMutable(DType::kFloat32, {2}, memory.data(), nullptr), Tensor()};
  function.RunInto(Tensors{a, Floats({10, 10})}, outputs);
  EXPECT_EQ(Values(outputs[0]), (std::vector<float>{20, 30}));
  EXPECT_EQ(Values(outputs[1]), (std::vector<float>{12, 13}));
}

// The other result is the input itself.
TEST(RunInto, AResultThatLooksAtAnOverwrittenInputIsCopiedInTime) {
  const Model model = LoadModel("bad_sig");  // y = x * 2
  testing::Buffer memory({1, 2, 3});
  const Tensor x = Tensor::Wrap(DType::kFloat32, {1, 3}, memory.data(), std::shared_ptr<const void>());
  const Function function = model.function(std::vector<std::string>{"y", "x"}, {"x"});
  Tensors outputs{Tensor::WrapMutable(DType::kFloat32, {1, 3}, memory.data(), nullptr), Tensor()};
  function.RunInto(Tensors{x}, outputs);
  EXPECT_EQ(Values(outputs[0]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(Values(outputs[1]), (std::vector<float>{1, 2, 3}));
  std::vector<float> copy(3);
  outputs[1] = Tensor::WrapMutable(DType::kFloat32, {1, 3}, copy.data(), nullptr);
  function.RunInto(Tensors{x}, outputs);
  EXPECT_EQ(copy, (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(Values(outputs[0]), (std::vector<float>{4, 8, 12}));
}

TEST(RunInto, EmptyResultsAndScalars) {
  const Model model = LoadModel("scalar");
  float square = 0;
  Tensor out[] = {Tensor::WrapMutable(DType::kFloat32, {}, &square, nullptr)};
  model.function("serving_default").RunInto(Tensors{Floats({3}, {})}, out);
  EXPECT_EQ(square, 9);
  Tensor nothing[] = {Tensor::WrapMutable(DType::kFloat32, {0}, nullptr, nullptr)};
  model.function("empty", {"y"}).RunInto(Tensors{Floats({})}, nothing);
}

TEST(RunInto, BuffersThatOverlapAreMistakesAndNothingIsWritten) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");
  const Tensors inputs{Floats({1, 2}), Floats({10, 20})};
  std::vector<float> memory(4, -1);
  const auto at = [&](std::size_t first) {
    return Tensor::WrapMutable(DType::kFloat32, {2}, memory.data() + first, nullptr);
  };
  for (const auto& [one, other] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {0, 1}, {2, 1}}) {
    Tensors outputs{at(one), at(other)};
    const UsageError error = MistakeIn([&] { function.RunInto(inputs, outputs); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
    EXPECT_TRUE(Mentions(error, {"'sum_prod'", "'prod'", "'sum'", "overlap"}));
  }
  EXPECT_EQ(memory, std::vector<float>(4, -1));
  Tensors beside{at(2), at(0)};
  function.RunInto(inputs, beside);
  EXPECT_EQ(memory, (std::vector<float>{11, 22, 10, 40}));
}

TEST(RunInto, WrongBuffersAreMistakesAndNothingIsWritten) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");
  const Tensors inputs{Floats({1, 2}), Floats({10, 20})};
  std::vector<float> prod(2, -1);
  const auto mistake = [&](const Tensor& wrong) {
    Tensors outputs{BufferOn(&prod), wrong};
    const UsageError error = MistakeIn([&] { function.RunInto(inputs, outputs); });
    EXPECT_TRUE(Mentions(error, {"'sum_prod'", "'sum'"}));
    EXPECT_EQ(prod, (std::vector<float>{-1, -1}));
    return error.kind();
  };
  EXPECT_EQ(mistake(Tensor::Empty(DType::kFloat64, {2})), UsageError::Kind::kDType);
  EXPECT_EQ(mistake(Tensor::Strings({2}, {"a", "b"})), UsageError::Kind::kDType);
  EXPECT_EQ(mistake(Tensor::Empty(DType::kFloat32, {3})), UsageError::Kind::kValue);
  EXPECT_EQ(mistake(Tensor::Empty(DType::kFloat32, {2, 1})), UsageError::Kind::kValue);
  float memory[2];
  const auto read_only = Tensor::Wrap(DType::kFloat32, {2}, memory, std::shared_ptr<const void>());
  EXPECT_EQ(mistake(read_only), UsageError::Kind::kValue);
  Tensors too_few(1);
  const UsageError error = MistakeIn([&] { function.RunInto(inputs, too_few); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kArguments);
  EXPECT_TRUE(Mentions(error, {"needs 2 output tensors, got 1"}));
}

TEST(RunInto, StringsAreViews) {
  const Model model = LoadModel("strings");
  Tensors outputs(1);
  model.function("upper").RunInto(Tensors{Tensor::Strings({1}, {"one"})}, outputs);
  EXPECT_EQ(outputs[0].string(0), "ONE");
}

TEST(RunInto, ThroughASession) {
  LoadOptions options;
  options.session.inter_op_threads = 2;
  const Model model = LoadModel("add", options);
  std::vector<float> z(1);
  Tensor outputs[] = {BufferOn(&z)};
  model.function("serving_default").RunInto(Tensors{Floats({1}), Floats({2})}, outputs);
  EXPECT_EQ(z, std::vector<float>{3});
}

}  // namespace
}  // namespace savedmodel
