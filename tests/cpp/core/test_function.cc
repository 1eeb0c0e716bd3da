// SPDX-License-Identifier: Apache-2.0
// Binding and running: forms of Run, checks of inputs, fetches by name, timeouts, traces.
// test_function_memory.cc tests memory ownership.
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Int;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;
using Names = std::vector<std::string>;
using Map = std::map<std::string, Tensor>;

constexpr std::int32_t kForever = std::numeric_limits<std::int32_t>::max();

TEST(Function, RunsByPosition) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");  // a, b -> prod, sum
  const Tensors results = function.Run(Tensors{Floats({1, 2}), Floats({10, 20})});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(function.outputs()[0].key, "prod");
  EXPECT_EQ(Values(results[0]), (std::vector<float>{10, 40}));
  EXPECT_EQ(Values(results[1]), (std::vector<float>{11, 22}));
}

TEST(Function, RunsByName) {
  const Map results =
      LoadModel("multi").function("sum_prod").Run(Map{{"b", Floats({10})}, {"a", Floats({3})}});
  EXPECT_EQ(results.size(), 2U);
  EXPECT_EQ(Values(results.at("prod")), std::vector<float>{30});
  EXPECT_EQ(Values(results.at("sum")), std::vector<float>{13});
}

TEST(Function, RunsWithoutAVector) {
  const Model model = LoadModel("multi");
  const Function function = model.function("sum_prod");
  const Tensor inputs[2] = {Floats({1}), Floats({2})};
  Tensor outputs[2];
  function.Run(inputs, outputs);
  EXPECT_EQ(Values(outputs[1]), std::vector<float>{3});
}

TEST(Function, RunsWithoutInputs) {
  const Model model = LoadModel("multi");
  EXPECT_EQ(Values<std::int32_t>(model.function("no_inputs").Run(Tensors{}).at(0)),
            std::vector<std::int32_t>{42});
  EXPECT_EQ(model.function("no_inputs").Run(Map{}).count("answer"), 1U);
}

// The shortest ways to write a call must compile, and select one overload.
template <typename T, typename = void>
struct TakesOneInBraces : std::false_type {};
template <typename T>
struct TakesOneInBraces<T, std::void_t<decltype(std::declval<const Function&>().Run({std::declval<T>()}))>>
    : std::true_type {};
template <typename T, typename = void>
struct TakesTwoInBraces : std::false_type {};
template <typename T>
struct TakesTwoInBraces<
    T, std::void_t<decltype(std::declval<const Function&>().Run({std::declval<T>(), std::declval<T>()}))>>
    : std::true_type {};
template <typename T, typename = void>
struct TakesThreeInBraces : std::false_type {};
template <typename T>
struct TakesThreeInBraces<T, std::void_t<decltype(std::declval<const Function&>().Run(
                                 {std::declval<T>(), std::declval<T>(), std::declval<T>()}))>>
    : std::true_type {};

TEST(Function, TensorsInBracesAreAPositionalCall) {
  EXPECT_TRUE(TakesOneInBraces<Tensor>::value);
  EXPECT_TRUE(TakesTwoInBraces<Tensor>::value);
  EXPECT_TRUE(TakesThreeInBraces<Tensor>::value);
  using Pair = std::pair<const std::string, Tensor>;
  EXPECT_TRUE(TakesOneInBraces<Pair>::value);
  EXPECT_TRUE(TakesTwoInBraces<Pair>::value);
}

TEST(Function, ADefaultIsFedWhenAnInputIsLeftOut) {
  const Model model = LoadModel("defaults");
  const Function function = model.function("serving_default");
  EXPECT_EQ(Values(function.Run(Map{{"x", Floats({1, 2})}}).at("z")), (std::vector<float>{3, 6}));
  EXPECT_EQ(Values(function.Run(Map{{"x", Floats({1, 2})}, {"scale", Floats({10}, {})}}).at("z")),
            (std::vector<float>{10, 20}));
}

TEST(Function, MissingAndUnknownInputsAreMistakes) {
  const Model model = LoadModel("add");
  const Function function = model.function("serving_default");
  const UsageError missing = MistakeIn([&] { function.Run(Map{{"x", Floats({1})}}); });
  EXPECT_EQ(missing.kind(), UsageError::Kind::kArguments);
  EXPECT_TRUE(Mentions(missing, {"'serving_default'", "'y'", "float32 [?]"}));
  const UsageError unknown = MistakeIn([&] {
    function.Run(Map{{"x", Floats({1})}, {"y", Floats({1})}, {"w", Floats({1})}});
  });
  EXPECT_EQ(unknown.kind(), UsageError::Kind::kArguments);
  EXPECT_TRUE(Mentions(unknown, {"'serving_default'", "'w'"}));
  for (const std::size_t count : {0U, 1U, 3U}) {
    const Tensors inputs(count, Floats({1}));
    const UsageError number = MistakeIn([&] { function.Run(inputs); });
    EXPECT_EQ(number.kind(), UsageError::Kind::kArguments);
    EXPECT_TRUE(Mentions(number, {"2", std::to_string(count)}));
    EXPECT_THROW(function.Run(inputs, RunOptions()), UsageError);
  }
}

TEST(Function, AWrongTypeIsAMistake) {
  const Model model = LoadModel("add");
  const Function function = model.function("serving_default");
  const double number = 1;
  for (const Tensor& wrong :
       {Tensor::Copy(DType::kFloat64, {1}, &number), Tensor::Strings({1}, {"1"}), Tensor()}) {
    const UsageError error = MistakeIn([&] { function.Run(Tensors{Floats({1}), wrong}); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kDType);
    EXPECT_TRUE(Mentions(error, {"'serving_default'", "'y'", "float32 [?]", DTypeName(wrong.dtype())}));
  }
}

TEST(Function, AWrongShapeIsAMistake) {
  const Model model = LoadModel("shapes");
  const auto run = [&](const char* name, const Shape& shape) {
    model.function(name).Run(Tensors{Tensor::Empty(DType::kFloat32, shape)});
  };
  const UsageError error = MistakeIn([&] { run("static", {3, 2}); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
  EXPECT_TRUE(Mentions(error, {"'static'", "'x'", "[2, 3]", "[3, 2]"}));
  EXPECT_THROW(run("static", {6}), UsageError);
  EXPECT_THROW(run("partial", {5, 4}), UsageError);
  EXPECT_THROW(run("partial", {}), UsageError);
  EXPECT_NO_THROW(run("static", {2, 3}));
  EXPECT_NO_THROW(run("partial", {0, 3}));
  EXPECT_NO_THROW(run("unknown", {}));
  EXPECT_NO_THROW(run("unknown", {1, 2, 1, 2, 1, 2, 1, 2, 1, 2}));  // more than are stored inline
}

TEST(Function, ScalarsAndEmptyArrays) {
  const Model model = LoadModel("scalar");
  const Tensor square = model.function("serving_default").Run(Tensors{Floats({3}, {})}).at(0);
  EXPECT_EQ(square.shape(), Shape());
  EXPECT_EQ(Values(square), std::vector<float>{9});
  const Map empty = model.function("empty").Run(Map{{"x", Floats({})}});
  EXPECT_EQ(empty.at("y").shape(), Shape({0}));
  EXPECT_EQ(Values(empty.at("sum")), std::vector<float>{0});
}

TEST(Function, OutputSubsets) {
  const Model model = LoadModel("multi");
  const Tensors inputs{Floats({2}), Floats({5})};
  const auto run = [&](const Names& outputs) {
    std::vector<float> numbers;
    for (const Tensor& result : model.function("sum_prod", outputs).Run(inputs)) {
      numbers.push_back(Values(result).at(0));
    }
    return numbers;
  };
  EXPECT_EQ(run({"sum"}), std::vector<float>{7});
  EXPECT_EQ(run({"sum", "prod"}), (std::vector<float>{7, 10}));
  EXPECT_EQ(run({"prod", "sum"}), (std::vector<float>{10, 7}));
  EXPECT_EQ(run({"sum", "sum"}), (std::vector<float>{7, 7}));
  const UsageError error = MistakeIn([&] { (void)model.function("sum_prod", {"quotient"}); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kName);
  EXPECT_TRUE(Mentions(error, {"'sum_prod'", "'quotient'", "'prod'", "'sum'"}));
}

TEST(Function, AnyTensorOfTheGraphByName) {
  const Model model = LoadModel("bad_sig");  // y = x * 2, in the graph itself
  const Tensors inputs{Floats({1, 2, 3}, {1, 3})};
  for (const Names& fetches : {Names{"y:0"}, Names{"y"}}) {
    const Function function = model.function(fetches, {"x:0"});
    EXPECT_EQ(function.outputs().at(0).key, fetches[0]);
    EXPECT_EQ(function.outputs()[0].name, "y:0");
    EXPECT_EQ(Values(function.Run(inputs).at(0)), (std::vector<float>{2, 4, 6}));
  }
  // An intermediate tensor may be fed, and a fed tensor may be fetched.
  const Tensors both = model.function(Names{"y", "x"}, Names{"x"}).Run(inputs);
  EXPECT_EQ(Values(both.at(1)), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(Values(model.function(Names{"y:0"}, Names{"y:0"}).Run(inputs).at(0)), Values(inputs[0]));
}

// One string in braces could be a string; two could be its begin and end.
TEST(Function, AnyTensorInBraces) {
  const Model model = LoadModel("bad_sig");
  const Tensors inputs{Floats({1, 2, 3}, {1, 3})};
  EXPECT_EQ(Values(model.function({"y:0"}, {"x:0"}).Run(inputs)[0]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(model.function({"y", "x"}, {"x"}).outputs().size(), 2U);
}

TEST(Function, TensorsThatTheGraphDoesNotHave) {
  const Model model = LoadModel("bad_sig");
  EXPECT_EQ(ThrownBy([&] { (void)model.function(Names{"z:0"}, {"x"}); }).code(), Code::kNotFound);
  EXPECT_EQ(ThrownBy([&] { (void)model.function(Names{"y:1"}, {"x"}); }).code(), Code::kNotFound);
  EXPECT_EQ(ThrownBy([&] { (void)model.function(Names{"y"}, {"w"}); }).code(), Code::kNotFound);
  for (const char* name : {"", ":0", "y:", "y:x", "y:-1", "^y", "y:99999999999999999999"}) {
    const UsageError error = MistakeIn([&] { (void)model.function(Names{name}, Names{"x"}); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kValue) << name;
  }
}

// Only the latest sets are kept, but a function that is still held keeps working.
TEST(Function, MoreFetchesThanAreKept) {
  const Model model = LoadModel("bad_sig");
  const Tensors inputs{Floats({1, 2, 3}, {1, 3})};
  const Function first = model.function(Names{"y"}, Names{"x"});
  for (std::size_t count = 2; count < 150; ++count) {
    const Tensors results = model.function(Names(count, "y"), Names{"x"}).Run(inputs);
    ASSERT_EQ(results.size(), count);
  }
  EXPECT_EQ(Values(first.Run(inputs).at(0)), (std::vector<float>{2, 4, 6}));
}

TEST(Function, SignaturesThatContradictTheGraph) {
  const Model model = LoadModel("bad_sig");
  const Tensor x = Floats({1, 2, 3}, {1, 3});
  for (const char* name : {"good", "wrong_dtype", "wrong_out_dtype", "wrong_shape"}) {
    EXPECT_EQ(Values(model.function(name).Run(Map{{"x", x}}).at("y")), (std::vector<float>{2, 4, 6})) << name;
  }
  for (const char* name : {"dangling", "dangling_in", "bad_index"}) {
    const Error error = ThrownBy([&] { (void)model.function(name); });
    EXPECT_EQ(error.code(), Code::kNotFound) << name;
    EXPECT_TRUE(Mentions(error, {name}));
  }
  EXPECT_EQ(Values(model.function("fed_fetched").Run(Map{{"x", x}}).at("x")), Values(x));
  const Map twice = model.function("dup_out").Run(Map{{"x", x}});
  EXPECT_EQ(Values(twice.at("y")), Values(twice.at("also_y")));
  const Function same = model.function("dup_in");
  EXPECT_EQ(Values(same.Run(Map{{"x", x}, {"also_x", Floats(Values(x), {1, 3})}}).at("y")),
            (std::vector<float>{2, 4, 6}));
  const UsageError error = MistakeIn([&] { same.Run(Map{{"x", x}, {"also_x", Floats({0, 0, 0}, {1, 3})}}); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
  EXPECT_TRUE(Mentions(error, {"'x'", "'also_x'"}));
}

TEST(Function, HandlesAreRefusedWhenTheFunctionIsBound) {
  const Model model = LoadModel("resource_out");
  for (const char* name : {"resource", "variant"}) {
    const Error error = ThrownBy([&] { (void)model.function(name); });
    EXPECT_EQ(error.code(), Code::kUnimplemented);
    EXPECT_TRUE(Mentions(error, {name}));
  }
  const Tensor x = Floats({1, 2});
  EXPECT_EQ(Values(model.function("resource", {"y"}).Run(Tensors{x}).at(0)), (std::vector<float>{2, 4}));
  EXPECT_EQ(Values(model.function("good").Run(Tensors{x}).at(0)), (std::vector<float>{2, 4}));
}

TEST(Function, Strings) {
  const Model model = LoadModel("strings");
  const Tensor upper = model.function("upper").Run(Tensors{Tensor::Strings({2}, {"one", ""})}).at(0);
  EXPECT_EQ(upper.string(0), "ONE");
  EXPECT_EQ(upper.string(1), "");
}

TEST(Function, TensorFlowsErrorsKeepTheirCodeAndBytes) {
  const Model model = LoadModel("bad_not_utf8");
  const Function function = model.function("serving_default");
  const Error error = ThrownBy([&] { function.Run(Tensors{Tensor::Strings({1}, {"\xff\xfe"})}); });
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_EQ(Values(function.Run(Tensors{Tensor::Strings({1}, {"1.5"})}).at(0)), std::vector<float>{1.5F});
}

TEST(Timeout, EndsARun) {
  const Model model = LoadModel("slow");
  const Function function = model.function("spin");
  RunOptions options;
  options.timeout = 0.05;
  for (int i = 0; i < 2; ++i) {
    const Error error = ThrownBy([&] { function.Run(Tensors{Int(kForever)}, options); });
    EXPECT_EQ(error.code(), Code::kDeadlineExceeded);
  }
  options.timeout = 60;
  EXPECT_TRUE(std::isfinite(Values(function.Run(Tensors{Int(3)}, options).at(0)).at(0)));
  EXPECT_TRUE(std::isfinite(Values(function.Run(Tensors{Int(3)}).at(0)).at(0)));
}

TEST(Timeout, OfTheModelIsEveryRunsDefault) {
  LoadOptions options;
  options.run.timeout = 0.25;
  const Model model = LoadModel("slow", options);
  const Function function = model.function("spin");
  EXPECT_EQ(ThrownBy([&] { function.Run(Tensors{Int(kForever)}); }).code(), Code::kDeadlineExceeded);
  EXPECT_NO_THROW(function.Run(Tensors{Int(3)}));
}

// A service passes the rest of its own deadline.
TEST(Timeout, OfNothingIsADeadlineThatHasPassed) {
  const Function function = LoadModel("slow").function("spin");
  RunOptions options;
  for (const Seconds timeout : {Seconds(0), Seconds(-1), Seconds(std::chrono::milliseconds(-20))}) {
    options.timeout = timeout;
    EXPECT_EQ(ThrownBy([&] { function.Run({Int(1)}, options); }).code(), Code::kDeadlineExceeded);
    EXPECT_EQ(ThrownBy([&] { function.Run({{"n", Int(1)}}, options); }).code(), Code::kDeadlineExceeded);
  }
}

TEST(Timeout, TakesDurations) {
  RunOptions options;
  options.timeout = std::chrono::milliseconds(1500);
  EXPECT_EQ(options.timeout->count(), 1.5);
  options.timeout = std::chrono::minutes(1);
  EXPECT_EQ(options.timeout->count(), 60);
  const Function function = LoadModel("slow").function("spin");
  EXPECT_NO_THROW(function.Run({Int(3)}, options));
  EXPECT_EQ(function.Run({{"n", Int(3)}}, options).size(), 1U);
}

TEST(Timeout, IsANumber) {
  const Model model = LoadModel("slow");
  const Function function = model.function("spin");
  RunOptions options;
  for (const double timeout : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    options.timeout = timeout;
    const UsageError error = MistakeIn([&] { function.Run(Tensors{Int(1)}, options); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
  }
  for (const double timeout : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    LoadOptions load;
    load.run.timeout = timeout;
    EXPECT_THROW(LoadModel("slow", load), UsageError);
  }
}

TEST(Trace, NamesWhatRan) {
  const Model model = LoadModel("mlp", testing::AsLoaded());
  const Tensors inputs{Floats(testing::Numbers(64), {1, 64})};
  Trace trace;
  const Tensors traced = model.function("serving_default").Run(inputs, {}, &trace);
  EXPECT_EQ(Values(traced.at(0)), Values(model.function("serving_default").Run(inputs).at(0)));
  EXPECT_FALSE(trace.run_metadata.empty());
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  bool softmax = false;
  for (const TraceEvent& event : trace.events) {
    EXPECT_FALSE(event.node.empty());
    EXPECT_GE(event.duration_ns, 0);
    first = std::min(first, event.start_ns);
    softmax = softmax || event.op.find("Softmax") != std::string::npos;  // or oneDNN's variant
  }
  EXPECT_TRUE(softmax);
  EXPECT_GT(first, std::int64_t{1500000000} * 1000000000);  // nanoseconds since the epoch
}

TEST(Trace, MayBeAskedForAndNotTaken) {
  const Model model = LoadModel("add");
  RunOptions options;
  options.trace = true;
  const Tensors results =
      model.function("serving_default").Run(Tensors{Floats({1}), Floats({2})}, options, nullptr);
  EXPECT_EQ(Values(results.at(0)), std::vector<float>{3});
}

}  // namespace
}  // namespace savedmodel
