// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/inspect.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Mentions;
using testing::ModelPath;
using testing::ThrownBy;

TEST(Inspect, ASmallModel) {
  const Inspection inspection = Inspect(ModelPath("add"));
  EXPECT_EQ(inspection.path, ModelPath("add"));
  ASSERT_EQ(inspection.meta_graphs.size(), 1U);
  const MetaGraphInfo& meta_graph = inspection.meta_graphs[0];
  EXPECT_EQ(meta_graph.tags, std::set<std::string>{"serve"});
  EXPECT_EQ(meta_graph.tensorflow_version.rfind("2.", 0), 0U);
  EXPECT_GT(meta_graph.producer, 1000);
  EXPECT_GE(meta_graph.producer, meta_graph.min_consumer);
  EXPECT_GT(meta_graph.num_nodes, 0);
  EXPECT_GT(meta_graph.num_functions, 0);
  EXPECT_TRUE(meta_graph.assets.empty());
  EXPECT_TRUE(meta_graph.variables.empty());
}

TEST(Inspect, SignaturesWithoutTheInitOp) {
  const Inspection inspection = Inspect(ModelPath("multi"));
  std::set<std::string> names;
  for (const auto& [name, signature] : inspection.meta_graphs.at(0).signatures) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"double", "no_inputs", "serving_default", "sum_prod"}));
}

TEST(Inspect, OpsAreThoseOfTheGraphAndOfItsFunctions) {
  const MetaGraphInfo meta_graph = Inspect(ModelPath("add")).meta_graphs.at(0);
  EXPECT_EQ(meta_graph.ops.count("Placeholder"), 1U);  // in the graph
  EXPECT_EQ(meta_graph.ops.count("AddV2"), 1U);        // in a function
  for (const std::string& op : meta_graph.ops) EXPECT_NE(op.rfind("__inference", 0), 0U) << op;
}

TEST(Inspect, WhatOnlyServesTheLoader) {
  const auto uses = Inspect(ModelPath("table")).meta_graphs.at(0).op_uses;
  for (const char* op : {"RestoreV2", "SaveV2", "InitializeTableFromTextFileV2"}) {
    EXPECT_EQ(uses.at(op).count, uses.at(op).loader_count) << op;
    EXPECT_TRUE(uses.at(op).nodes.empty()) << op;
  }
  EXPECT_EQ(uses.at("LookupTableFindV2").loader_count, 0);
  EXPECT_FALSE(uses.at("LookupTableFindV2").nodes.empty());
}

TEST(Inspect, RegisteredOps) {
  const std::vector<std::string> ops = RegisteredOps();
  EXPECT_TRUE(std::is_sorted(ops.begin(), ops.end()));
  EXPECT_TRUE(std::binary_search(ops.begin(), ops.end(), "MatMul"));
}

TEST(OpRules, RefuseBeforeTheLoad) {
  LoadOptions options;
  options.op_rules = OpRules{{{"MatMul", "multiplies"}}, {}};
  const Error refused = ThrownBy([&] { (void)Model::Load(ModelPath("mlp"), options); });
  EXPECT_EQ(refused.code(), Code::kPermissionDenied);
  EXPECT_TRUE(Mentions(refused, {"MatMul at '", "(multiplies)", "(unknown)", "more ops"}));
  const std::vector<std::string> ops = RegisteredOps();
  options.op_rules = OpRules{{{"RestoreV2", "reads"}}, {ops.begin(), ops.end()}};  // the loader may use it
  EXPECT_EQ(Model::Load(ModelPath("mlp"), options).signatures().size(), 1U);
}

TEST(Inspect, Variables) {
  const MetaGraphInfo meta_graph = Inspect(ModelPath("mlp")).meta_graphs.at(0);
  ASSERT_EQ(meta_graph.variables.size(), 6U);
  const TensorSpec& weight = meta_graph.variables.at("w0");
  EXPECT_EQ(weight.dtype, DType::kFloat32);
  EXPECT_EQ(weight.shape, (std::vector<std::int64_t>{64, 128}));
}

TEST(Inspect, FilesAndTheirSizes) {
  const Inspection inspection = Inspect(ModelPath("mlp"));
  EXPECT_GT(inspection.files.at("saved_model.pb"), 0);
  EXPECT_GT(inspection.files.at("variables/variables.data-00000-of-00001"), (64 + 128) * 128 * 4);
  std::int64_t sum = 0;
  for (const auto& [name, bytes] : inspection.files) sum += bytes;
  EXPECT_EQ(inspection.size_bytes, sum);
}

TEST(Inspect, Assets) {
  const std::vector<AssetInfo> assets = Inspect(ModelPath("table")).meta_graphs.at(0).assets;
  ASSERT_EQ(assets.size(), 1U);
  EXPECT_EQ(assets[0].filename, "vocab.txt");
  EXPECT_FALSE(assets[0].tensor_name.empty());
  EXPECT_GT(assets[0].size_bytes, 0);
  const std::vector<AssetInfo> missing = Inspect(ModelPath("bad_missing_asset")).meta_graphs.at(0).assets;
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].size_bytes, -1);
}

TEST(Inspect, EveryMetaGraph) {
  std::set<std::set<std::string>> tags;
  for (const MetaGraphInfo& meta_graph : Inspect(ModelPath("v1_multi_tags")).meta_graphs) {
    tags.insert(meta_graph.tags);
    EXPECT_EQ(meta_graph.signatures.size(), 2U);
    EXPECT_EQ(meta_graph.assets.size(), 1U);
  }
  EXPECT_EQ(tags, (std::set<std::set<std::string>>{{}, {"serve"}, {"gpu", "serve"}, {"train"}}));
}

TEST(Inspect, FingerprintWhereThereIsOne) {
  const Inspection inspection = Inspect(ModelPath("add"));
  ASSERT_TRUE(inspection.fingerprint.has_value());
  EXPECT_NE(inspection.fingerprint->saved_model_checksum, 0U);
  EXPECT_FALSE(inspection.fingerprint->uuid.empty());
  EXPECT_FALSE(Inspect(ModelPath("v1_main_op")).fingerprint.has_value());
}

TEST(Inspect, AModelAsText) {
  const Inspection inspection = Inspect(ModelPath("v1_pbtxt"));
  EXPECT_EQ(inspection.meta_graphs.at(0).signatures.count("serving_default"), 1U);
}

// Weights are not read, and ops need not exist.
TEST(Inspect, ModelsThatDoNotLoad) {
  for (const char* name : {"bad_missing_shard", "bad_corrupt_crc", "bad_missing_variables_dir"}) {
    EXPECT_EQ(Inspect(ModelPath(name)).meta_graphs.at(0).variables.size(), 6U) << name;
  }
  EXPECT_EQ(Inspect(ModelPath("bad_unknown_op")).meta_graphs.at(0).ops.count("NoSuchOpEver"), 1U);
  EXPECT_EQ(Inspect(ModelPath("bad_unknown_op_in_function")).meta_graphs.at(0).ops.count("NoSuchOpEver"), 1U);
}

TEST(Inspect, WhatIsNoSavedModel) {
  const auto code = [](const std::string& path) { return ThrownBy([&] { (void)Inspect(path); }).code(); };
  EXPECT_EQ(code(ModelPath("no_such_model")), Code::kNotFound);
  EXPECT_EQ(code(ModelPath("bad_no_saved_model")), Code::kNotFound);
  EXPECT_EQ(code(ModelPath("add/saved_model.pb")), Code::kNotFound);
  EXPECT_EQ(code(ModelPath("bad_garbage_pb")), Code::kDataLoss);
  EXPECT_EQ(code(ModelPath("bad_empty_pb")), Code::kDataLoss);
  EXPECT_EQ(code(""), Code::kInvalidArgument);
  const Error truncated = ThrownBy([] { (void)Inspect(ModelPath("bad_truncated_pb")); });
  EXPECT_TRUE(Mentions(truncated, {"bad_truncated_pb", "truncated"}));
}

}  // namespace
}  // namespace savedmodel
