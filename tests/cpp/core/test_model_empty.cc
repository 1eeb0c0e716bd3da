// SPDX-License-Identifier: Apache-2.0
// Handles that are default-constructed or moved from: errors instead of faults, and usable again.
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::ModelPath;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;

template <typename F>
void ExpectHoldsNothing(const char* type, F&& call) {
  const Error error = ThrownBy(std::forward<F>(call));
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_TRUE(Mentions(error, {std::string("this ") + type + " is empty"}));
}

void ExpectEmpty(Model model) {
  EXPECT_FALSE(model.valid());
  EXPECT_FALSE(model);
  const auto check = [](auto&& call) { ExpectHoldsNothing("Model", call); };
  check([&] { (void)model.path(); });
  check([&] { (void)model.options(); });
  check([&] { (void)model.signatures(); });
  check([&] { (void)model.default_signature(); });
  check([&] { (void)model.function("serving_default"); });
  check([&] { (void)model.function({"x:0"}, {"y:0"}); });
  check([&] { (void)model.variables(); });
  check([&] { (void)model.ReadVariable("w"); });
  check([&] { (void)model.devices(); });
  check([&] { (void)model.Placement(); });
  check([&] { (void)model.Optimization(); });
  check([&] { model.SaveOptimized("/nowhere"); });
  check([&] { (void)model.Counters(); });
  check([&] { (void)model.closed(); });
  check([&] { (void)model.Cancel(0); });
  check([&] { model.Close(); });
}

void ExpectEmpty(Function function) {
  EXPECT_FALSE(function.valid());
  EXPECT_FALSE(function);
  const auto check = [](auto&& call) { ExpectHoldsNothing("Function", call); };
  const RunOptions options;
  Tensors outputs(1);
  check([&] { (void)function.inputs(); });
  check([&] { (void)function.outputs(); });
  check([&] { (void)function.copies_inputs_because(); });
  check([&] { (void)function.Counters(); });
  check([&] { function.Run({Floats({1})}); });
  check([&] { function.Run({Floats({1})}, options); });
  check([&] { function.Run({{"x", Floats({1})}}); });
  check([&] { function.Run({{"x", Floats({1})}}, options); });
  check([&] { function.Run(Tensors(), outputs); });
  check([&] { function.RunInto(Tensors(), outputs); });
  Code code{};
  function.RunAsync({}, [&](const Error* error, const Tensors&) { code = error->code(); });
  EXPECT_EQ(code, Code::kFailedPrecondition);
  function.RunAsync(Function::Named(), [&](const Error* error, const auto&) { code = error->code(); });
  EXPECT_EQ(code, Code::kFailedPrecondition);
}

TEST(Empty, Model) {
  ExpectEmpty(Model());
  Model model = LoadModel("add");
  EXPECT_TRUE(model);
  Model taken = std::move(model);
  ExpectEmpty(model);  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(taken.closed());
  model = taken;
  EXPECT_EQ(model.path(), ModelPath("add"));
}

TEST(Empty, Function) {
  ExpectEmpty(Function());
  const Model model = LoadModel("add");
  Function function = model.function("serving_default");
  EXPECT_TRUE(function);
  const Function taken = std::move(function);
  ExpectEmpty(function);  // NOLINT(bugprone-use-after-move)
  function = taken;
  EXPECT_EQ(Values(function.Run({Floats({1}), Floats({2})})[0]), std::vector<float>{3});
}

TEST(Empty, Watched) {
  Watched watched;
  EXPECT_FALSE(watched.valid());
  EXPECT_FALSE(watched);
  const auto check = [](auto&& call) { ExpectHoldsNothing("Watched", call); };
  check([&] { (void)watched.model(); });
  check([&] { (void)watched.model(1); });
  check([&] { (void)watched.version(); });
  check([&] { (void)watched.status(); });
  check([&] { watched.Refresh(); });
}

TEST(Empty, Edit) {
  Edit edit(ModelPath("add"));
  EXPECT_TRUE(edit);
  const Edit taken = std::move(edit);
  EXPECT_FALSE(edit.valid());  // NOLINT(bugprone-use-after-move)
  const auto check = [](auto&& call) { ExpectHoldsNothing("Edit", call); };
  check([&] { edit.Apply(Prune{}); });
  check([&] { (void)edit.signatures(); });
  check([&] { (void)edit.Save("/nowhere"); });
  EXPECT_EQ(taken.signatures().count("serving_default"), 1U);
}

void ExpectEmpty(const Tensor& tensor) {
  EXPECT_FALSE(tensor.valid());
  EXPECT_FALSE(tensor);
  EXPECT_EQ(tensor.dtype(), DType::kInvalid);
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.num_elements(), 0U);
  EXPECT_EQ(tensor.byte_size(), 0U);
  EXPECT_EQ(tensor.shape().size(), 0U);
  EXPECT_FALSE(tensor.writable());
  EXPECT_EQ(tensor.owner(), nullptr);
  ExpectHoldsNothing("Tensor", [&] { (void)tensor.values<float>(); });
  ExpectHoldsNothing("Tensor", [&] { (void)tensor.data<float>(); });
  ExpectHoldsNothing("Tensor", [&] { (void)tensor.strings(); });
  ExpectHoldsNothing("Tensor", [&] { (void)tensor.string(0); });
  ExpectHoldsNothing("Tensor", [&] { (void)Tensor(tensor).mutable_data(); });
}

TEST(Empty, Tensor) {
  ExpectEmpty(Tensor());
  Tensor tensor = Floats({1, 2, 3});
  EXPECT_TRUE(tensor);
  Tensor taken = std::move(tensor);
  ExpectEmpty(tensor);  // NOLINT(bugprone-use-after-move)
  Tensor again;
  again = std::move(taken);
  ExpectEmpty(taken);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(Values(again), (std::vector<float>{1, 2, 3}));
  Tensor& itself = again;
  again = std::move(itself);
  static_assert(std::is_nothrow_move_constructible_v<Tensor> && std::is_nothrow_move_assignable_v<Tensor>);
}

TEST(Empty, LentMemoryIsLeftWithTheTensor) {
  const float value = 1;
  const auto keep = [](const void*) -> std::shared_ptr<const void> { return std::make_shared<int>(); };
  Tensor lent = Tensor::Lend(DType::kFloat32, {1}, &value, &value, keep);
  const Tensor taken = std::move(lent);
  ExpectEmpty(lent);  // NOLINT(bugprone-use-after-move)
  EXPECT_NE(taken.owner(), nullptr);
}

TEST(Empty, Shape) {
  for (const std::vector<std::int64_t>& dims :
       {std::vector<std::int64_t>{2, 3}, std::vector<std::int64_t>(9, 1)}) {
    Shape shape(dims);
    Shape taken = std::move(shape);
    EXPECT_EQ(shape, Shape());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(taken, Shape(dims));
    Shape& itself = taken;
    taken = std::move(itself);
    EXPECT_EQ(taken, Shape(dims));
    shape = std::move(taken);
    EXPECT_EQ(taken.begin(), taken.end());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(shape, Shape(dims));
  }
}

// A moved-from buffer is empty: the result does not go to its former memory.
TEST(Empty, RunIntoTakesAMovedTensorForAnEmptyOne) {
  const Function add = LoadModel("add").function("serving_default");
  Tensor buffer = Tensor::Empty(DType::kFloat32, {1});
  Tensor taken = std::move(buffer);
  taken.mutable_data<float>()[0] = 7;
  Tensor outputs[] = {std::move(buffer)};  // NOLINT(bugprone-use-after-move)
  add.RunInto(Tensors{Floats({1}), Floats({2})}, outputs);
  EXPECT_EQ(Values(outputs[0]), std::vector<float>{3});
  EXPECT_EQ(Values(taken), std::vector<float>{7});
}

TEST(Empty, IsNoInput) {
  const Function add = LoadModel("add").function("serving_default");
  EXPECT_TRUE(Mentions(MistakeIn([&] { add.Run({Floats({1}), Tensor()}); }), {"input 'y'"}));
}

TEST(Empty, MemoryThatIsNullIsRefused) {
  const auto check = [](auto&& call) { EXPECT_TRUE(Mentions(MistakeIn(call), {"data is null"})); };
  check([] { (void)Tensor::Wrap(DType::kFloat32, {1}, nullptr, nullptr); });
  check([] { (void)Tensor::WrapMutable(DType::kFloat32, {1}, nullptr, nullptr); });
  check([] { (void)Tensor::WrapStrings({1}, nullptr, nullptr); });
  check([] { (void)Tensor::Copy(DType::kFloat32, {1}, nullptr); });
  EXPECT_EQ(Tensor::Wrap(DType::kFloat32, {0}, nullptr, nullptr).num_elements(), 0U);
}

template <typename T, typename = void>
struct HasStrings : std::false_type {};
template <typename T>
struct HasStrings<T, std::void_t<decltype(std::declval<T>().strings())>> : std::true_type {};
template <typename T, typename = void>
struct HasValues : std::false_type {};
template <typename T>
struct HasValues<T, std::void_t<decltype(std::declval<T>().template values<float>())>> : std::true_type {};

// `for (... : f.Run({x})[0].values<float>())` would read freed memory.
TEST(Temporary, TensorsHaveNoViews) {
  static_assert(HasStrings<Tensor&>::value && HasStrings<const Tensor&>::value);
  static_assert(HasValues<Tensor&>::value && HasValues<const Tensor&>::value);
  static_assert(!HasStrings<Tensor>::value && !HasStrings<const Tensor>::value);
  static_assert(!HasValues<Tensor>::value && !HasValues<const Tensor>::value);
  static_assert(std::is_same_v<decltype(std::declval<Tensor>().shape()), Shape>);
}

TEST(Temporary, ResultsHandOutTensorsByValue) {
  static_assert(std::is_same_v<decltype(std::declval<Results>()[0]), Tensor>);
  static_assert(std::is_same_v<decltype(std::declval<Results>().at(0)), Tensor>);
  static_assert(std::is_same_v<decltype(std::declval<Results>().front()), Tensor>);
  static_assert(std::is_same_v<decltype(std::declval<Results>().back()), Tensor>);
  static_assert(std::is_same_v<decltype(std::declval<NamedResults>().at("z")), Tensor>);
  static_assert(std::is_same_v<decltype(std::declval<NamedResults>()["z"]), Tensor>);
  const Model model = LoadModel("add");
  const Function add = model.function("serving_default");
  const Tensor& kept = add.Run({Floats({1}), Floats({2})})[0];
  EXPECT_EQ(Values(kept), std::vector<float>{3});
  EXPECT_EQ(add.Run({Floats({1}), Floats({2})}).at(0).data<float>()[0], 3);
  EXPECT_EQ(add.Run({{"x", Floats({1})}, {"y", Floats({2})}})["z"].data<float>()[0], 3);
  std::vector<Tensor> plain = add.Run({Floats({1}), Floats({2})});
  EXPECT_EQ(plain.size(), 1U);
}

TEST(Temporary, ModelsGiveCopies) {
  std::size_t inputs = 0;
  for (const auto& [name, signature] : LoadModel("add").signatures()) inputs += signature.inputs.size();
  for (const TensorSpec& spec : LoadModel("add").function("serving_default").inputs()) {
    inputs += spec.key.size();
  }
  EXPECT_EQ(inputs, 4U);
}

}  // namespace
}  // namespace savedmodel
