// SPDX-License-Identifier: Apache-2.0
// Functions of the saved object, and ops that are run for what they do.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "savedmodel/saved_function.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
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
