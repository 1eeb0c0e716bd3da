// SPDX-License-Identifier: Apache-2.0
// Functions of the saved object, and ops that are run for their side effects.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "savedmodel/saved_function.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Has;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::Values;

TEST(SavedFunction, ListsPathsAndTraces) {
  const Model model = LoadModel("functions");
  ASSERT_EQ(model.functions().count("encoder.call"), 1U);
  const SavedFunction& call = model.functions().at("__call__");
  ASSERT_EQ(call.traces.size(), 2U);
  const Structure& positional = call.traces[1].arguments.items.at(0);
  EXPECT_EQ(positional.items.at(0).kind, Structure::Kind::kTensor);
  EXPECT_EQ(positional.items.at(1).kind, Structure::Kind::kBool);
  EXPECT_EQ(positional.items.at(1).number, 1);
  EXPECT_EQ(call.traces[0].inputs.at(0).key, "x");
  EXPECT_EQ(&model.find_function("__call__"), &call);
}

TEST(SavedFunction, Runs) {
  const Model model = LoadModel("functions");
  const Tensor x = Floats({1, 2, 3, 4}, {1, 4});
  const std::vector<float> plain = Values(model.saved_function("__call__").Run({x})[0]);
  const std::vector<float> training = Values(model.saved_function("__call__", 1).Run({x})[0]);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(training[i], plain[i] + 100, 1e-4);
  EXPECT_TRUE(model.saved_function("reset").Run({}).empty());
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)model.saved_function("encoder.cal"); }), {"encoder.call"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)model.saved_function("reset", 1); }), {"traces"}));
}

TEST(SavedFunction, IsChosenByDtypesAndShapes) {
  const Model model = LoadModel("functions");
  const SavedFunction& twice = model.find_function("twice");
  const auto number = [&](const Tensor& x) { return twice.FindTrace(std::vector<Tensor>{x}); };
  ASSERT_EQ(twice.traces.size(), 3U);
  const Shape three{3};
  EXPECT_EQ(twice.traces[number(Tensor::Empty(DType::kInt32, {}))].inputs[0].ToString(), "int32 []");
  EXPECT_EQ(twice.traces[number(Tensor::Empty(DType::kFloat64, {2, 2}))].inputs[0].dtype, DType::kFloat64);
  // The first trace that fits.
  EXPECT_EQ(twice.traces[number(Floats({1, 2, 3}, three))].inputs[0].ToString(), "float32 [?]");
  EXPECT_EQ(Values(model.saved_function("twice", {Floats({1, 2})}).Run({Floats({1, 2})})[0]),
            (std::vector<float>{2, 4}));
  const auto mistake = [&](const Tensor& x) {
    return MistakeIn([&] { (void)model.saved_function("twice", {x}); });
  };
  EXPECT_TRUE(Mentions(mistake(Tensor::Empty(DType::kInt64, {2})),
                       {"'twice' has no trace for (int64 [2])", "(x: int32 [])", "(x: float32 [?])",
                        "(x: float64 <unknown>)"}));
  EXPECT_TRUE(Mentions(mistake(Floats({1, 2}, {1, 2})), {"float32 [1, 2]"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)twice.FindTrace({}); }), {"no trace for ()"}));
  EXPECT_TRUE(
      Mentions(MistakeIn([&] { (void)model.saved_function("never", {Floats({1})}); }), {"never traced"}));
}

TEST(SavedFunction, IsChosenByConstants) {
  const Model model = LoadModel("functions");
  const SavedFunction& call = model.find_function("__call__");
  const std::vector<Tensor> x{Floats({1, 2, 3, 4}, {1, 4})};
  EXPECT_EQ(call.FindTrace(x), 0U);  // the default
  EXPECT_EQ(call.FindTrace(x, {{"training", false}}), 0U);
  EXPECT_EQ(call.FindTrace(x, {{"training", true}}), 1U);
  EXPECT_EQ(call.FindTrace(x, {{"training", 1}}), 1U);  // as in Python, True is 1
  EXPECT_EQ(call.Describe(1), "(x: float32 [?, 4], training=True)");
  for (const Constant& other : {Constant(2), Constant("yes"), Constant()}) {
    EXPECT_TRUE(Mentions(MistakeIn([&] {
                           (void)call.FindTrace(x, {{"training", other}});
                         }),
                         {"has no trace for (float32 [1, 4], training=", "training=False)"}));
  }
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)call.FindTrace(x, {{"train", true}}); }), {"train=True"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)call.FindTrace(x, {{"x", 1.5}}); }), {"x=1.5"}));

  const SavedFunction& nested = model.find_function("nested");  // c is keyword-only, b has a default
  const std::vector<Tensor> scalars{Floats({1}, {}), Floats({2}, {})};
  EXPECT_EQ(nested.FindTrace(scalars), 0U);
  EXPECT_EQ(nested.FindTrace(scalars, {{"c", 3.0}}), 1U);
  EXPECT_EQ(nested.Describe(1), "(a={'x': a_x: float32 [], 'y': [a_y_0: float32 []]}, b=None, c=3.0)");
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)nested.FindTrace(scalars, {{"c", 4.0}}); }), {"c=4.0"}));
  EXPECT_EQ(Values(model.saved_function("nested", scalars, {{"c", 3.0}}).Run(scalars)[0])[0], 9.0F);
}

TEST(SavedFunction, NoSuchTrace) {
  const Model model = LoadModel("functions");
  const SavedFunction& call = model.find_function("__call__");
  EXPECT_EQ(call.Label(1), "function '__call__', trace 1");
  EXPECT_EQ(model.find_function("counted").Label(0), "function 'counted'");
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)call.Describe(2); }), {"has no trace 2; it has 2 traces"}));
  EXPECT_TRUE(Mentions(MistakeIn([&] { (void)model.saved_function("__call__", 2); }), {"no trace 2"}));
}

TEST(SavedFunction, TakesComponentsOfCompositeArguments) {
  const Model model = LoadModel("functions");
  const Tensor values = Floats({1, 2, 3});
  const std::int64_t ends[] = {0, 2, 3};
  const Tensor splits = Tensor::Copy(DType::kInt64, {3}, ends);
  const std::vector<Tensor> results = model.saved_function("ragged", {values, splits}).Run({values, splits});
  EXPECT_EQ(Values(results.at(2)), (std::vector<float>{3, 3}));
  EXPECT_TRUE(Has(model.find_function("ragged").Describe(0), "ragged float32"));
}

TEST(SavedFunction, IsSavedOptimized) {
  const testing::TemporaryFolder folder;
  const std::string copy = folder.Path("copy");
  LoadModel("functions").SaveOptimized(copy, std::vector<std::string>{"__call__"});
  const Model model = Model::Load(copy);
  const Tensor x = Floats({1, 2, 3, 4}, {1, 4});
  EXPECT_EQ(Values(model.saved_function("__call__", {x}).Run({x})[0]),
            Values(LoadModel("functions").saved_function("__call__").Run({x})[0]));
  int read = 0;
  for (const OptimizationReport& report : model.Prepare()) {
    EXPECT_EQ(report.function.find("function '__call__', trace "), 0U);
    for (const std::string& note : report.notes) read += Has(note, "was done earlier") ? 1 : 0;
  }
  EXPECT_EQ(read, 2);
}

TEST(Targets, TakeSteps) {
  LoadOptions options;
  options.tags = {"train"};
  const Model model = LoadModel("trained", options);
  const std::vector<std::string> feeds{"x:0", "y:0"};
  const Function step = model.function({"loss:0"}, feeds, {"train_op"});
  const Tensor x = Floats({1, 0, 0, 1}, {2, 2});
  const Tensor y = Floats({1, -1});
  const float first = Values(step.Run({x, y})[0])[0];
  for (int i = 0; i < 50; ++i) step.Run({x, y});
  EXPECT_LT(Values(step.Run({x, y})[0])[0], first / 10);
  EXPECT_TRUE(model.function({}, feeds, {"train_op"}).Run({x, y}).empty());
}

}  // namespace
}  // namespace savedmodel
