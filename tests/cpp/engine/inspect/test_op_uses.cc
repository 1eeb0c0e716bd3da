// SPDX-License-Identifier: Apache-2.0
// Which uses of ops are counted, only serve the loader, or are refused: on parts of graphs that are never
// run.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/inspect/op_uses.h"
#include "savedmodel/error.h"
#include "tests/cpp/nodes.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Calls;
using testing::Node;
using Nodes = std::vector<std::string>;

class OpUses : public ::testing::Test {
 protected:
  void Add(const tf::NodeDef& node) { *meta_graph_.mutable_graph_def()->add_node() = node; }
  tf::FunctionDef* AddFunction(const std::string& name) {
    tf::FunctionDef* function = meta_graph_.mutable_graph_def()->mutable_library()->add_function();
    function->mutable_signature()->set_name(name);
    return function;
  }
  tf::TensorInfo* AddOutput(const std::string& signature) {
    return &(*(*meta_graph_.mutable_signature_def())[signature].mutable_outputs())["y"];
  }
  void Serves(const std::string& tensor) { AddOutput("serving_default")->set_name(tensor); }
  void Initializes(const std::string& node) {
    (*(*meta_graph_.mutable_signature_def())["__saved_model_init_op"]
          .mutable_outputs())["__saved_model_init_op"]
        .set_name(node);
  }
  void AddAsset(const std::string& tensor, const std::string& file = "words.txt") {
    tf::AssetFileDef* asset = meta_graph_.add_asset_file_def();
    asset->set_filename(file);
    asset->mutable_tensor_info()->set_name(tensor);
  }
  // A restore op that reads files of the name fed to "prefix".
  void AddSaver() {
    meta_graph_.mutable_saver_def()->set_filename_tensor_name("prefix:0");
    meta_graph_.mutable_saver_def()->set_restore_op_name("restore_all");
    Add(Node("prefix", "Placeholder"));
    Add(Node("restore", "RestoreV2", {"prefix"}));
    Add(Node("restore_all", "NoOp", {"^restore"}));
  }
  OpUse Use(const std::string& op) const {
    const auto uses = CountOpUses(meta_graph_);
    const auto found = uses.find(op);
    return found == uses.end() ? OpUse() : found->second;
  }
  std::int64_t ForTheLoader(const std::string& op) const { return Use(op).loader_count; }
  std::string Refusal(const OpRules& rules) const {
    try {
      CheckOps("/m", meta_graph_, rules);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kPermissionDenied);
      return error.what();
    }
    return "";
  }

  tf::MetaGraphDef meta_graph_;
};

TEST_F(OpUses, CountsGraphAndFunctions) {
  Add(Node("x", "Relu"));
  Add(Node("y", "Relu"));
  *AddFunction("f")->add_node_def() = Node("z", "Relu");
  EXPECT_EQ(Use("Relu").count, 3);
  EXPECT_EQ(Use("Relu").loader_count, 0);
  EXPECT_EQ(Use("Relu").nodes, (Nodes{"x", "y", "f/z"}));
  Add(Node("w", "Relu"));
  EXPECT_EQ(Use("Relu").count, 4);
  EXPECT_EQ(Use("Relu").nodes, (Nodes{"x", "y", "w"}));
}

TEST_F(OpUses, FunctionsAreNoOps) {
  AddFunction("f");
  Add(Node("call", "f"));
  EXPECT_EQ(Use("f").count, 0);
  // Except functions that have an op's name.
  AddFunction("WriteFile");
  Add(Node("write", "WriteFile"));
  EXPECT_EQ(Use("WriteFile").count, 1);
  Add(Node("other", "NoSuchOp"));
  EXPECT_EQ(Use("NoSuchOp").count, 1);
}

TEST_F(OpUses, PrintsToFilesAreAnOpOfTheirOwn) {
  Add(Node("default", "PrintV2"));
  for (const char* stream : {"stdout", "stderr", "log(info)", "log(warning)", "log(error)"}) {
    tf::NodeDef node = Node(stream, "PrintV2");
    (*node.mutable_attr())["output_stream"].set_s(stream);
    Add(node);
  }
  EXPECT_EQ(Use("PrintV2").count, 6);
  EXPECT_EQ(Use("PrintV2:file").count, 0);
  tf::NodeDef node = Node("to_file", "PrintV2");
  (*node.mutable_attr())["output_stream"].set_s("file:///log");
  Add(node);
  (*node.mutable_attr())["output_stream"].set_placeholder("of_the_function");
  Add(node);
  EXPECT_EQ(Use("PrintV2").count, 6);
  node.set_op("Print");  // this op has no such attribute
  Add(node);
  EXPECT_EQ(Use("PrintV2:file").count, 2);
  EXPECT_EQ(Use("Print").count, 1);
}

TEST_F(OpUses, TheLoadersRestore) {
  AddSaver();
  EXPECT_EQ(Use("RestoreV2").count, 1);
  EXPECT_EQ(ForTheLoader("RestoreV2"), 1);
  EXPECT_EQ(Use("RestoreV2").nodes, Nodes{});
  EXPECT_EQ(ForTheLoader("NoOp"), 0);
  EXPECT_EQ(ForTheLoader("Placeholder"), 0);
}

TEST_F(OpUses, ARestoreOfAnotherFileIsNone) {
  AddSaver();
  Add(Node("elsewhere", "Const"));
  meta_graph_.mutable_graph_def()->mutable_node(1)->set_input(0, "elsewhere");
  EXPECT_EQ(ForTheLoader("RestoreV2"), 0);
  EXPECT_EQ(Use("RestoreV2").nodes, Nodes{"restore"});
  meta_graph_.mutable_graph_def()->mutable_node(1)->clear_input();
  EXPECT_EQ(ForTheLoader("RestoreV2"), 0);
}

TEST_F(OpUses, ARestoreThatASignatureRunsIsNone) {
  AddSaver();
  Serves("y:0");
  Add(Node("y", "Identity", {"x"}));
  EXPECT_EQ(ForTheLoader("RestoreV2"), 1);
  Add(Node("x", "Identity", {"restore:0"}));
  EXPECT_EQ(ForTheLoader("RestoreV2"), 0);
}

TEST_F(OpUses, ARestoreThatTheInitOpRunsIsNone) {
  AddSaver();
  Initializes("init");
  Add(Node("init", "NoOp"));
  EXPECT_EQ(ForTheLoader("RestoreV2"), 1);
  meta_graph_.mutable_graph_def()->mutable_node()->rbegin()->add_input("^restore");
  EXPECT_EQ(ForTheLoader("RestoreV2"), 0);
}

TEST_F(OpUses, WritesThatTheRestoreRunsAreNone) {
  AddSaver();
  for (const char* op : {"SaveV2", "MergeV2Checkpoints", "ShardedFilename"}) Add(Node(op, op, {"prefix"}));
  EXPECT_EQ(ForTheLoader("SaveV2"), 1);  // nothing runs it
  EXPECT_EQ(ForTheLoader("MergeV2Checkpoints"), 1);
  EXPECT_EQ(ForTheLoader("ShardedFilename"), 1);
  meta_graph_.mutable_graph_def()->mutable_node(2)->add_input("^SaveV2");
  EXPECT_EQ(ForTheLoader("SaveV2"), 0);
  EXPECT_EQ(ForTheLoader("MergeV2Checkpoints"), 1);
}

TEST_F(OpUses, OnlySaversAreTheLoaders) {
  Add(Node("write", "WriteFile"));
  Add(Node("read", "ReadFile"));
  EXPECT_EQ(ForTheLoader("WriteFile"), 0);
  EXPECT_EQ(ForTheLoader("ReadFile"), 0);
}

// The encodings name a signature's outputs in different ways.
TEST_F(OpUses, SignaturesOfAllEncodings) {
  Add(Node("save", "SaveV2"));
  EXPECT_EQ(ForTheLoader("SaveV2"), 1);
  const auto served = [&](const auto& name) {
    meta_graph_.clear_signature_def();
    name(AddOutput("serving_default"));
    return ForTheLoader("SaveV2") == 0;
  };
  EXPECT_FALSE(served([](tf::TensorInfo* info) { info->set_name("other:0"); }));
  EXPECT_TRUE(served([](tf::TensorInfo* info) { info->set_name("save:0"); }));
  EXPECT_TRUE(served([](auto* info) { info->mutable_coo_sparse()->set_values_tensor_name("save:0"); }));
  EXPECT_TRUE(served([](auto* info) { info->mutable_coo_sparse()->set_indices_tensor_name("save:0"); }));
  EXPECT_TRUE(served([](auto* info) { info->mutable_coo_sparse()->set_dense_shape_tensor_name("save:0"); }));
  EXPECT_TRUE(
      served([](auto* info) { info->mutable_composite_tensor()->add_components()->set_name("save:0"); }));
  for (const char* key : {"__saved_model_init_op", "__saved_model_train_op"}) {
    meta_graph_.clear_signature_def();
    (*(*meta_graph_.mutable_signature_def())[key].mutable_outputs())["other"].set_name("save:0");
    EXPECT_EQ(ForTheLoader("SaveV2"), 1) << key;
  }
}

TEST_F(OpUses, SignaturesRunWhatTheyCall) {
  *AddFunction("inner")->add_node_def() = Node("save", "SaveV2");
  *AddFunction("outer")->add_node_def() = Calls(Node("call", "PartitionedCall"), {"inner"});
  Serves("y");
  Add(Node("y", "Identity", {"call"}));
  EXPECT_EQ(ForTheLoader("SaveV2"), 1);
  Add(Calls(Node("call", "StatefulPartitionedCall"), {"outer"}));
  EXPECT_EQ(ForTheLoader("SaveV2"), 0);
  EXPECT_EQ(Use("SaveV2").nodes, Nodes{"inner/save"});
}

// A program can call them like signatures.
TEST_F(OpUses, FunctionsOfTheObjectRunToo) {
  *AddFunction("inner")->add_node_def() = Node("save", "SaveV2");
  *AddFunction("traced")->add_node_def() = Calls(Node("call", "PartitionedCall"), {"inner"});
  EXPECT_EQ(ForTheLoader("SaveV2"), 1);
  tf::SavedObjectGraph& objects = *meta_graph_.mutable_object_graph_def();
  auto* child = objects.add_nodes()->add_children();
  child->set_node_id(1);
  child->set_local_name("f");
  objects.mutable_nodes(0)->mutable_user_object()->set_identifier("_generic_user_object");
  objects.add_nodes()->mutable_function()->add_concrete_functions("traced");
  auto& concrete = (*objects.mutable_concrete_functions())["traced"];
  auto* arguments = concrete.mutable_canonicalized_input_signature()->mutable_tuple_value();
  arguments->add_values()->mutable_tuple_value();
  arguments->add_values()->mutable_dict_value();
  concrete.mutable_output_signature()->mutable_tuple_value();
  EXPECT_EQ(ForTheLoader("SaveV2"), 0);
}

TEST_F(OpUses, TablesOfTheModelsAssets) {
  Add(Node("file", "Const"));
  Add(Node("table", "HashTableV2"));
  Add(Node("fill", "InitializeTableFromTextFileV2", {"table", "file"}));
  Add(Node("old", "InitializeTableFromTextFile", {"table", "file"}));
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 0);
  AddAsset("file:0");
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 1);
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFile"), 1);
  Initializes("init");
  Add(Node("init", "NoOp", {"^fill"}));
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 1);
  Serves("fill");  // its caller may feed the name
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 0);
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFile"), 1);
}

TEST_F(OpUses, TablesOfOtherFiles) {
  Add(Node("file", "Const"));
  AddAsset("file:0", "../outside.txt");
  Add(Node("fill", "InitializeTableFromTextFileV2", {"table", "file"}));
  Add(Node("empty", "InitializeTableFromTextFileV2", {"file"}));
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 0);
  AddAsset("file:0");
  EXPECT_EQ(ForTheLoader("InitializeTableFromTextFileV2"), 1);
  EXPECT_EQ(Use("InitializeTableFromTextFileV2").nodes, Nodes{"empty"});
}

TEST_F(OpUses, Rules) {
  Add(Node("x", "Relu"));
  Add(Node("w", "WriteFile"));
  Add(Node("n", "NoSuchOp"));
  OpRules rules;
  rules.known = {"Relu", "WriteFile", "NoSuchOp"};
  EXPECT_EQ(Refusal(rules), "");
  rules.refused = {{"WriteFile", "writes files"}, {"Relu6", "is not used"}};
  EXPECT_EQ(Refusal(rules), "'/m' uses ops that are not allowed: WriteFile at 'w' (writes files)");
  rules.known = {"Relu"};
  EXPECT_EQ(Refusal(rules),
            "'/m' uses ops that are not allowed: WriteFile at 'w' (writes files); NoSuchOp at 'n' (unknown)");
}

TEST_F(OpUses, RulesAllowWhatServesTheLoader) {
  AddSaver();
  OpRules rules;
  rules.known = {"NoOp", "Placeholder"};
  rules.refused = {{"RestoreV2", "reads files"}};
  EXPECT_EQ(Refusal(rules), "");
  Serves("restore:0");
  EXPECT_EQ(Refusal(rules), "'/m' uses ops that are not allowed: RestoreV2 at 'restore' (reads files)");
}

TEST_F(OpUses, OneUseForTheLoaderAllowsNoOther) {
  AddSaver();
  Add(Node("again", "RestoreV2", {"elsewhere"}));
  Serves("again:0");
  OpRules rules;
  rules.known = {"NoOp", "Placeholder"};
  EXPECT_EQ(Refusal(rules), "'/m' uses ops that are not allowed: RestoreV2 at 'again' (unknown)");
}

TEST_F(OpUses, FiveOpsAreNamed) {
  for (const char* op : {"A", "B", "C", "D", "E"}) Add(Node("n", op));
  const std::string five =
      "'/m' uses ops that are not allowed: A at 'n' (unknown); B at 'n' (unknown); C at 'n' (unknown); D at "
      "'n' "
      "(unknown); E at 'n' (unknown)";
  EXPECT_EQ(Refusal(OpRules()), five);
  Add(Node("n", "F"));
  Add(Node("n", "G"));
  EXPECT_EQ(Refusal(OpRules()), five + "; and 2 more ops");
}

TEST(RegisteredOps, AreSorted) {
  const std::vector<std::string> names = ListRegisteredOps();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_TRUE(std::binary_search(names.begin(), names.end(), "MatMul"));
}

}  // namespace
}  // namespace savedmodel::engine
