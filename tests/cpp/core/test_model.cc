// SPDX-License-Identifier: Apache-2.0
// Loading, properties of a loaded model, variables, devices. test_model_threads.cc also tests closing.
#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Mentions;
using testing::MistakeIn;
using testing::ModelPath;
using testing::Numbers;
using testing::Tensors;
using testing::ThrownBy;
using testing::Values;

// ConfigProto{device_count: {"CPU": 2}}: field 1 is a map, an entry's field 1 the key and field 2 the value.
const std::string kTwoCpus(
    "\x0a\x07\x0a\x03"
    "CPU\x10\x02");

Error LoadError(const std::string& name, const LoadOptions& options = {}) {
  return ThrownBy([&] { LoadModel(name, options); });
}

TEST(Load, KeepsWhatItWasGiven) {
  LoadOptions options;
  options.threads = 2;
  const Model model = LoadModel("add", options);
  EXPECT_EQ(model.path(), ModelPath("add"));
  EXPECT_EQ(model.options().threads, 2);
  EXPECT_EQ(model.options().tags, std::set<std::string>{"serve"});
  EXPECT_FALSE(model.closed());
}

TEST(Load, EverySoundModel) {
  for (const char* name : {"add",
                           "composite",
                           "constant",
                           "control_flow_v1",
                           "defaults",
                           "dtypes",
                           "identity",
                           "keras_conv",
                           "keras_dense",
                           "keras_embedding_strings",
                           "keras_lstm",
                           "mlp",
                           "multi",
                           "odd_names",
                           "quantized",
                           "random",
                           "scalar",
                           "shapes",
                           "slice_view",
                           "slow",
                           "stateful",
                           "strings",
                           "table",
                           "v1_legacy_init_op",
                           "v1_main_op",
                           "v1_multi_tags",
                           "v1_partitioned_variable",
                           "v1_pbtxt",
                           "v1_ref_counter",
                           "weights",
                           "while_loop",
                           "wide"}) {
    EXPECT_NO_THROW({
      const Model model = LoadModel(name);
      for (const auto& [signature, spec] : model.signatures()) (void)model.function(signature);
    }) << name;
  }
}

struct Bad {
  const char* name;
  Code code;
  const char* mention;
};

TEST(Load, ADamagedModelIsAnErrorThatNamesWhatIsWrong) {
  for (const Bad& bad : {
           Bad{"no_such_model", Code::kNotFound, "no such directory"},
           Bad{"bad_no_saved_model", Code::kNotFound, "saved_model.pb"},
           Bad{"bad_truncated_pb", Code::kOutOfRange, "saved_model.pb"},
           Bad{"bad_garbage_pb", Code::kDataLoss, "saved_model.pb"},
           Bad{"bad_empty_pb", Code::kDataLoss, "saved_model.pb"},
           Bad{"bad_missing_variables_dir", Code::kNotFound, "variables.index"},
           Bad{"bad_missing_index", Code::kNotFound, "variables.index"},
           Bad{"bad_missing_shard", Code::kNotFound, "variables.data-00000-of-00001"},
           Bad{"bad_short_shard", Code::kDataLoss, "variables.data-00000-of-00001"},
           Bad{"bad_corrupt_crc", Code::kDataLoss, ""},
           Bad{"bad_corrupt_index", Code::kDataLoss, "variables.index"},
           Bad{"bad_missing_asset", Code::kNotFound, "vocab.txt"},
           Bad{"bad_asset_traversal", Code::kInvalidArgument, "../../bad_asset_traversal.txt"},
           Bad{"bad_absolute_asset", Code::kInvalidArgument, "/etc/passwd"},
           Bad{"bad_unknown_op", Code::kNotFound, "NoSuchOpEver"},
           Bad{"bad_remote_device", Code::kInvalidArgument, "/job:worker"},
       }) {
    SCOPED_TRACE(bad.name);
    const Error error = LoadError(bad.name);
    EXPECT_STREQ(CodeName(error.code()), CodeName(bad.code));
    EXPECT_TRUE(Mentions(error, {bad.name, bad.mention}));
  }
}

TEST(Load, AFunctionWithAnUnknownOpIsAnErrorBeforeItsResult) {
  const Error error = ThrownBy([] {
    const Model model = LoadModel("bad_unknown_op_in_function");
    model.function("serving_default").Run(Tensors{Floats(std::vector<float>(64), {1, 64})});
  });
  EXPECT_TRUE(Mentions(error, {"NoSuchOpEver"}));
}

TEST(Load, AfterAFailureTheNextOneWorks) {
  EXPECT_THROW(LoadModel("bad_corrupt_crc"), Error);
  EXPECT_NO_THROW(LoadModel("mlp"));
}

TEST(Load, TagsMatchExactly) {
  LoadOptions options;
  const std::vector<std::pair<std::set<std::string>, float>> factors = {
      {{"serve"}, 1.0F}, {{"gpu", "serve"}, 2.0F}, {{"train"}, 3.0F}, {{}, 4.0F}};
  std::vector<float> weight;
  for (const auto& [tags, factor] : factors) {
    options.tags = tags;
    const Model model = LoadModel("v1_multi_tags", options);
    const auto y = Values(model.function("serving_default").Run(Tensors{Floats({1, 1, 1}, {1, 3})}).at(0));
    if (weight.empty()) weight = y;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_FLOAT_EQ(y[i], weight[i] * factor);
  }
  options.tags = {"gpu"};
  const Error error = LoadError("v1_multi_tags", options);
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_TRUE(Mentions(error, {"{'gpu'}", "{'serve'}", "{'gpu', 'serve'}", "{'train'}", "{}"}));
}

TEST(Load, InitOpsFillTheTables) {
  for (const char* name : {"table", "v1_main_op", "v1_legacy_init_op"}) {
    SCOPED_TRACE(name);
    const Model model = LoadModel(name);
    const std::string word = std::string(name) == "table" ? "two" : "gamma";
    const Tensor ids =
        model.function("serving_default").Run(Tensors{Tensor::Strings({2}, {word, "nobody"})}).at(0);
    EXPECT_EQ(Values<std::int64_t>(ids), (std::vector<std::int64_t>{2, -1}));
  }
}

TEST(Load, BytesThatAreNoProtoAreRefused) {
  LoadOptions options;
  options.session.config = "\xff\xff\xff";
  EXPECT_EQ(LoadError("add", options).code(), Code::kInvalidArgument);
  options.session.config.clear();
  options.run.proto = "\xff\xff\xff";
  EXPECT_EQ(LoadError("add", options).code(), Code::kInvalidArgument);
}

TEST(Load, OptionsThatCanNotBeAreRefused) {
  const auto refused = [](const LoadOptions& options, const char* name) {
    const UsageError error = MistakeIn([&] { LoadModel("add", options); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
    EXPECT_TRUE(Mentions(error, {name}));
  };
  for (const int threads : {-1, 4097, 10'000'000}) {
    LoadOptions options;
    options.threads = threads;
    refused(options, "LoadOptions::threads");
  }
  LoadOptions options;
  options.max_queue = 0;
  refused(options, "LoadOptions::max_queue");
  for (const int threads : {-1, 65536}) {
    options = {};
    options.session.inter_op_threads = threads;
    refused(options, "SessionOptions::inter_op_threads");
  }
  for (const double fraction : {0.0, -1.0, 1.5, std::nan("")}) {
    options = {};
    options.session.gpu_memory_fraction = fraction;
    refused(options, "SessionOptions::gpu_memory_fraction");
  }
}

TEST(Load, AnOpLibraryThatIsNotThereIsAnError) {
  LoadOptions options;
  options.op_libraries = {"/no/such/library.so"};
  EXPECT_TRUE(Mentions(LoadError("add", options), {"/no/such/library.so"}));
}

TEST(Load, VariablesAreFreedAfterTheFirstCallsUnlessTheyAreKept) {
  for (const bool frees : {true, false}) {
    const testing::TemporaryFolder folder;
    std::filesystem::copy(ModelPath("mlp"), folder.path() / "mlp", std::filesystem::copy_options::recursive);
    LoadOptions options;
    options.free_variables = frees;
    const Model model = Model::Load(folder.Path("mlp"), options);
    const Tensors x{Floats(Numbers(2 * 64), {2, 64})};
    const Tensors results = model.function("serving_default").Run(x);
    std::filesystem::remove_all(folder.path() / "mlp");
    EXPECT_EQ(Values(model.function("serving_default").Run(x)[0]), Values(results[0]));
    if (frees) {
      EXPECT_EQ(ThrownBy([&] { (void)model.ReadVariable("w1"); }).code(), Code::kFailedPrecondition);
    } else {
      EXPECT_EQ(model.ReadVariable("w1").dtype(), DType::kFloat32);
    }
  }
}

TEST(Saved, AnOptimizedCopyComputesTheSame) {
  const testing::TemporaryFolder folder;
  const std::string copy = folder.Path("copy");
  const Model model = LoadModel("mlp");
  model.SaveOptimized(copy);
  EXPECT_EQ(ThrownBy([&] { model.SaveOptimized(copy); }).code(), Code::kAlreadyExists);
  const Model loaded = Model::Load(copy);
  const Tensors x{Floats(Numbers(2 * 64), {2, 64})};
  EXPECT_EQ(Values(loaded.function("serving_default").Run(x)[0]),
            Values(model.function("serving_default").Run(x)[0]));
  EXPECT_TRUE(loaded.Prepare()[0].optimized);
  EXPECT_EQ(loaded.variables().size(), model.variables().size());
}

TEST(Signatures, TheInitOpIsHidden) {
  const Model model = LoadModel("multi");
  std::vector<std::string> names;
  for (const auto& [name, signature] : model.signatures()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"double", "no_inputs", "serving_default", "sum_prod"}));
}

TEST(Signatures, TheDefaultOne) {
  EXPECT_EQ(LoadModel("multi").default_signature(), "serving_default");
  EXPECT_EQ(LoadModel("weights").default_signature(), "");  // it could be "get" or "apply"
  EXPECT_EQ(LoadModel("add").default_signature(), "serving_default");
}

TEST(Signatures, AnUnknownOneIsAnErrorThatListsThoseThereAre) {
  const Model model = LoadModel("multi");
  const UsageError error = MistakeIn([&] { (void)model.function("triple"); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kName);
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_TRUE(Mentions(error, {"'triple'", "'double'", "'serving_default'", "'sum_prod'"}));
}

TEST(Variables, AreNamedAndRead) {
  const Model model = LoadModel("mlp");
  ASSERT_EQ(model.variables().size(), 6U);
  const Tensor weight = model.ReadVariable("w1");
  EXPECT_EQ(weight.dtype(), DType::kFloat32);
  EXPECT_EQ(weight.shape(), Shape({128, 128}));
  EXPECT_FALSE(weight.writable());
  const UsageError error = MistakeIn([&] { (void)model.ReadVariable("w9"); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kName);
  EXPECT_TRUE(Mentions(error, {"'w9'"}));
}

TEST(Variables, AreReadInPlace) {
  const Model model = LoadModel("weights");
  const Tensor first = model.ReadVariable("w");
  const Tensor second = model.ReadVariable("w");
  EXPECT_EQ(first.data(), second.data());
  EXPECT_EQ(model.function("get").Run(Tensors{}).at(0).data(), first.data());
}

TEST(Variables, OutliveTheModel) {
  std::vector<float> expected;
  Tensor weight;
  {
    const Model model = LoadModel("weights");
    weight = model.ReadVariable("w");
    expected = Values(weight);
  }
  EXPECT_EQ(Values(weight), expected);
}

TEST(Variables, ReferenceVariablesAreCopied) {
  const Model model = LoadModel("v1_ref_counter");
  const Tensor before = model.ReadVariable("counter");
  model.function("incr").Run(Tensors{Floats({2}, {})});
  EXPECT_EQ(Values(before), std::vector<float>{10});
  EXPECT_EQ(Values(model.ReadVariable("counter")), std::vector<float>{12});
}

// A value that was read stays the same, whatever runs do to the variable.
TEST(Variables, AValueThatWasReadDoesNotChange) {
  const Model model = LoadModel("stateful");
  const Tensor stored = model.ReadVariable("stored");
  const Tensor count = model.ReadVariable("count");
  model.function("store").Run(Tensors{Floats({1, 2, 3, 4})});
  model.function("incr").Run(Tensors{Floats({5}, {})});
  EXPECT_EQ(Values(stored), std::vector<float>(4, 0));
  EXPECT_EQ(Values(count), std::vector<float>{0});
  EXPECT_EQ(Values(model.ReadVariable("stored")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(Values(model.ReadVariable("count")), std::vector<float>{5});
}

TEST(Devices, OneCpuUnlessAskedForMore) {
  const Model one = LoadModel("add");
  ASSERT_GE(one.devices().size(), 1U);
  EXPECT_TRUE(testing::Has(one.devices()[0], "/device:CPU:0"));
  LoadOptions options;
  options.session.config = kTwoCpus;
  std::string names;
  for (const std::string& device : LoadModel("add", options).devices()) names += device + " ";
  EXPECT_TRUE(testing::Has(names, "/device:CPU:0"));
  EXPECT_TRUE(testing::Has(names, "/device:CPU:1"));
}

// Exporters pin the nodes that save and restore to CPU:0; all others have no device.
TEST(Devices, ADeviceGetsTheNodesThatHaveNone) {
  for (const char* name : {"add", "mlp", "while_loop", "v1_pbtxt"}) {
    SCOPED_TRACE(name);
    LoadOptions options;
    options.session.config = kTwoCpus;
    const auto usual = LoadModel(name, options).Placement();
    ASSERT_EQ(usual.size(), 1U);
    EXPECT_TRUE(testing::Has(usual.begin()->first, "/device:CPU:0"));
    options.device = "/device:CPU:1";
    const auto placement = LoadModel(name, options).Placement();
    ASSERT_EQ(placement.size(), 2U);
    EXPECT_TRUE(testing::Has(placement.rbegin()->first, "/device:CPU:1"));
    EXPECT_GT(placement.rbegin()->second, 5);
    EXPECT_EQ(placement.begin()->second + placement.rbegin()->second, usual.begin()->second);
  }
}

TEST(Devices, ATraceShowsTheRunOnTheDevice) {
  LoadOptions options;
  options.session.config = kTwoCpus;
  options.device = "/device:CPU:1";
  const Model model = LoadModel("mlp", options);
  Trace trace;
  model.function("serving_default").Run(Tensors{Floats(testing::Numbers(64), {1, 64})}, {}, &trace);
  int products = 0;
  for (const TraceEvent& event : trace.events) {
    if (event.op.find("MatMul") == std::string::npos) continue;
    ++products;
    EXPECT_TRUE(testing::Has(event.device, "CPU:1")) << event.node;
  }
  EXPECT_EQ(products, 3);
}

TEST(Devices, TheResultIsTheSameOnEachDevice) {
  const Tensors inputs{Floats(testing::Numbers(3 * 64), {3, 64})};
  LoadOptions options = testing::AsLoaded();
  const auto expected = Values(LoadModel("mlp", options).function("serving_default").Run(inputs).at(0));
  options.session.config = kTwoCpus;
  for (const char* device : {"cpu", "cpu:1", "CPU:0", "/device:CPU:1", "/cpu:1"}) {
    SCOPED_TRACE(device);
    options.device = device;
    EXPECT_EQ(Values(LoadModel("mlp", options).function("serving_default").Run(inputs).at(0)), expected);
  }
}

TEST(Devices, AnUnknownOneIsAnErrorThatListsThoseThereAre) {
  LoadOptions options;
  options.device = "cpu:7";
  const Error error = LoadError("add", options);
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Mentions(error, {"CPU:7", "/device:CPU:0"}));
  for (const char* device : {"fridge", "cpu:x", "/device:", "///", " "}) {
    options.device = device;
    EXPECT_EQ(LoadError("add", options).code(), Code::kInvalidArgument) << device;
  }
}

TEST(Devices, SoftPlacementRunsWhatIsPinnedToAMissingDevice) {
  LoadOptions options;
  options.session.allow_soft_placement = true;
  options.session.visible_gpus = "-1";
  const Model model = LoadModel("two_devices", options);
  EXPECT_EQ(model.Placement().size(), 1U);
  const Tensor y = model.function("serving_default").Run(Tensors{Floats(testing::Numbers(8), {1, 8})}).at(0);
  EXPECT_EQ(y.shape(), Shape({1, 8}));
  options.session.allow_soft_placement = false;
  EXPECT_EQ(LoadError("two_devices", options).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace savedmodel
