// SPDX-License-Identifier: Apache-2.0
// Reading and checking files: folders that the tests write, and the errors for missing ones.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/files.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"
#include "tests/cpp/nodes.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::Calls;
using testing::Node;
namespace fs = std::filesystem;
using Names = std::set<std::string>;

bool Says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class FilesTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Folder(const std::string& name) const { fs::create_directories(folder_ / name); }
  void Write(const std::string& name, const std::string& bytes) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  // Code and message of the Error from `call`.
  template <typename Call>
  static std::pair<Code, std::string> Refusal(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {Code::kUnknown, ""};
  }
  std::pair<Code, std::string> ReadRefusal(const std::string& name = "") const {
    return Refusal([&] { ReadSavedModelProto(name.empty() ? folder_.string() : Path(name)); });
  }

  const testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

using ReadTest = FilesTest;

TEST_F(ReadTest, OneMetaGraph) {
  tf::SavedModel model;
  model.add_meta_graphs()->mutable_meta_info_def()->add_tags("serve");
  Write("saved_model.pb", model.SerializeAsString());
  EXPECT_EQ(ReadSavedModelProto(folder_.string()).meta_graphs(0).meta_info_def().tags(0), "serve");
  Write("text/saved_model.pbtxt", "meta_graphs { meta_info_def { tags: 'text' } }");
  EXPECT_EQ(ReadSavedModelProto(Path("text")).meta_graphs(0).meta_info_def().tags(0), "text");
}

TEST_F(ReadTest, NoDirectory) {
  EXPECT_EQ(ReadRefusal("lost").first, Code::kNotFound);
  Write("file", "");
  EXPECT_TRUE(Says(ReadRefusal("file").second, "is a file; a SavedModel is a directory"));
}

TEST_F(ReadTest, AnotherDirectory) {
  const std::string what = " is not a SavedModel: it has no saved_model.pb, .pbtxt or .cpb";
  EXPECT_EQ(ReadRefusal(), std::pair(Code::kNotFound, "'" + folder_.string() + "'" + what + "; it is empty"))
      << ReadRefusal().second;
  for (const char* name : {"e", "d", "c", "b", "a"}) Write(name, "");
  EXPECT_TRUE(Says(ReadRefusal().second, what + "; it holds a, b, c, d, e")) << ReadRefusal().second;
  EXPECT_FALSE(Says(ReadRefusal().second, "..."));
  Write("f", "");
  EXPECT_TRUE(Says(ReadRefusal().second, "; it holds a, b, c, d, e, ...")) << ReadRefusal().second;
}

TEST_F(ReadTest, ADirectoryOfVersions) {
  Write("v1/saved_model.pb", "");
  Folder("1");
  EXPECT_TRUE(Says(ReadRefusal().second, "; it holds 1, v1")) << ReadRefusal().second;
  Write("2/saved_model.pb", "");
  EXPECT_TRUE(Says(ReadRefusal().second, "; did you mean '" + Path("2") + "'?")) << ReadRefusal().second;
}

TEST_F(ReadTest, AFileThatIsNoSavedModel) {
  Write("saved_model.pb", "no protobuf");
  EXPECT_TRUE(Says(
      ReadRefusal().second,
      "'" + Path("saved_model.pb") + "' can't be read as a SavedModel, it may be truncated or corrupted"))
      << ReadRefusal().second;
  Write("saved_model.pb", "");
  EXPECT_EQ(ReadRefusal(), std::pair(Code::kDataLoss, "'" + Path("saved_model.pb") +
                                                          "' holds no MetaGraph: it is empty or corrupted"));
  Folder("of_a_folder/saved_model.pb");
  EXPECT_TRUE(Says(ReadRefusal("of_a_folder").second, "is a directory, where a file is expected"));
}

tf::AssetFileDef Asset(const std::string& filename, const std::string& tensor = "asset:0") {
  tf::AssetFileDef asset;
  asset.set_filename(filename);
  asset.mutable_tensor_info()->set_name(tensor);
  return asset;
}

TEST(Assets, InTheirFieldOrElseInTheirCollection) {
  tf::MetaGraphDef meta_graph;
  EXPECT_EQ(AssetFiles(meta_graph).size(), 0U);
  auto* collection = (*meta_graph.mutable_collection_def())["saved_model_assets"].mutable_any_list();
  collection->add_value()->PackFrom(Asset("old"));
  collection->add_value()->PackFrom(tf::SignatureDef());  // not an asset
  (*meta_graph.mutable_collection_def())["others"].mutable_any_list()->add_value()->PackFrom(Asset("other"));
  ASSERT_EQ(AssetFiles(meta_graph).size(), 1U);
  EXPECT_EQ(AssetFiles(meta_graph)[0].filename(), "old");
  *meta_graph.add_asset_file_def() = Asset("new");
  ASSERT_EQ(AssetFiles(meta_graph).size(), 1U);
  EXPECT_EQ(AssetFiles(meta_graph)[0].filename(), "new");
}

TEST(Assets, StayInTheirFolder) {
  for (const char* name : {"a", "a/b.txt", "./a", "a/../b", "..a", "a..b"})
    EXPECT_TRUE(StaysInside(Asset(name)));
  for (const char* name : {"..", "../a", "a/../../b", "/a", "../assets", "", ".", "../assets_too/a"}) {
    EXPECT_FALSE(StaysInside(Asset(name))) << name;
  }
}

tf::NodeDef Strings(const std::string& name, const std::vector<std::string>& values) {
  tf::NodeDef node = Node(name, "Const");
  tf::TensorProto* tensor = (*node.mutable_attr())["value"].mutable_tensor();
  tensor->set_dtype(tf::DT_STRING);
  tensor->mutable_tensor_shape()->add_dim()->set_size(static_cast<std::int64_t>(values.size()));
  for (const std::string& value : values) tensor->add_string_val(value);
  return node;
}

// "restore_all" restores `names`.
tf::MetaGraphDef Restoring(const std::vector<std::string>& names) {
  tf::MetaGraphDef meta_graph;
  meta_graph.mutable_saver_def()->set_restore_op_name("restore_all");
  auto* nodes = meta_graph.mutable_graph_def()->mutable_node();
  *nodes->Add() = Strings("names", names);
  *nodes->Add() = Node("restore", "RestoreV2", {"file", "names", "slices"});
  *nodes->Add() = Node("assign", "AssignVariableOp", {"v", "restore:0"});
  *nodes->Add() = Node("restore_all", "NoOp", {"^assign"});
  return meta_graph;
}

TEST(RestoredTensors, WhatTheRestoreOpNeeds) {
  tf::MetaGraphDef meta_graph = Restoring({"a", "b"});
  auto* nodes = meta_graph.mutable_graph_def()->mutable_node();
  *nodes->Add() = Strings("more", {"c"});
  *nodes->Add() = Node("unused", "RestoreV2", {"file", "more", "slices"});
  EXPECT_EQ(RestoredTensors(meta_graph), (Names{"a", "b"}));
  meta_graph.mutable_saver_def()->set_restore_op_name("unused:0");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{"c"});
  meta_graph.mutable_saver_def()->set_restore_op_name("lost");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  *nodes->Add() = Node("", "RestoreV2", {"file", "more", "slices"});
  meta_graph.mutable_saver_def()->clear_restore_op_name();
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
}

TEST(RestoredTensors, NamesAreAConstantOfStrings) {
  tf::MetaGraphDef meta_graph = Restoring({"a"});
  tf::NodeDef* names = meta_graph.mutable_graph_def()->mutable_node(0);
  names->set_op("Placeholder");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  *names = Node("names", "Const");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  tf::Tensor(3).AsProtoField((*names->mutable_attr())["value"].mutable_tensor());
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  names->mutable_attr()->clear();
  names->set_name("others");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  meta_graph = Restoring({"a"});
  meta_graph.mutable_graph_def()->mutable_node(1)->mutable_input()->DeleteSubrange(1, 2);
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
  meta_graph = Restoring({"a"});
  meta_graph.mutable_graph_def()->mutable_node(1)->set_op("SaveV2");
  EXPECT_EQ(RestoredTensors(meta_graph), Names{});
}

TEST(RestoredTensors, InFunctions) {
  tf::MetaGraphDef meta_graph;
  meta_graph.mutable_saver_def()->set_restore_op_name("restore_all");
  tf::GraphDef& graph = *meta_graph.mutable_graph_def();
  *graph.add_node() = Calls(Node("restore_all", "StatefulPartitionedCall"), {"outer"});
  for (const char* name : {"outer", "inner", "by_name"}) {
    tf::FunctionDef* function = graph.mutable_library()->add_function();
    function->mutable_signature()->set_name(name);
    *function->add_node_def() = Strings("names", {std::string("of ") + name});
    *function->add_node_def() = Node("restore", "RestoreV2", {"file", "names:output:0", "slices"});
  }
  tf::FunctionDef* outer = graph.mutable_library()->mutable_function(0);
  EXPECT_EQ(RestoredTensors(meta_graph), Names{"of outer"});
  *outer->add_node_def() = Calls(Node("call", "PartitionedCall"), {"inner"});
  *outer->add_node_def() = Calls(Node("again", "PartitionedCall"), {"lost"});
  EXPECT_EQ(RestoredTensors(meta_graph), (Names{"of outer", "of inner"}));
  *outer->add_node_def() = Node("as_op", "by_name");
  EXPECT_EQ(RestoredTensors(meta_graph), (Names{"of outer", "of inner", "of by_name"}));
  // Checked once.
  *graph.mutable_library()->mutable_function(1)->add_node_def() =
      Calls(Node("back", "PartitionedCall"), {"outer"});
  EXPECT_EQ(RestoredTensors(meta_graph).size(), 3U);
}

TEST(RestoredTensors, CirclesEnd) {
  tf::MetaGraphDef meta_graph = Restoring({"a"});
  *meta_graph.mutable_graph_def()->mutable_node(1)->add_input() = "^restore_all";
  EXPECT_EQ(RestoredTensors(meta_graph), Names{"a"});
}

class CheckFilesTest : public FilesTest {
 protected:
  // Writes the variables files for "a" (twelve floats) and "b" (one).
  void WriteVariables() const {
    Folder("variables");
    tf::BundleWriter writer(tf::Env::Default(), Path("variables/variables"));
    ASSERT_TRUE(writer.Add("a", tf::Tensor(tf::DT_FLOAT, {12})).ok());
    ASSERT_TRUE(writer.Add("b", tf::Tensor(tf::DT_FLOAT, {})).ok());
    ASSERT_TRUE(writer.Finish().ok());
    ASSERT_EQ(fs::file_size(Data()), 52U);
  }
  std::string Index() const { return Path("variables/variables.index"); }
  std::string Data() const { return Path("variables/variables.data-00000-of-00001"); }
  std::pair<Code, std::string> Check(const tf::MetaGraphDef& meta_graph = Restoring({"a", "b"})) const {
    return Refusal([&] { CheckFiles(folder_.string(), meta_graph); });
  }
};

TEST_F(CheckFilesTest, AreComplete) {
  WriteVariables();
  EXPECT_EQ(Check().second, "");
}

TEST_F(CheckFilesTest, NothingToRestore) {
  EXPECT_EQ(Check(tf::MetaGraphDef()).second, "");
  EXPECT_EQ(Check(Restoring({"_CHECKPOINTABLE_OBJECT_GRAPH"})).second, "");
}

TEST_F(CheckFilesTest, NoIndex) {
  EXPECT_EQ(Check(),
            std::pair(Code::kNotFound, "'" + Index() +
                                           "' is missing, and the graph restores 2 variables from it "
                                           "(such as 'a'); is the copy complete?"));
  Folder("variables/variables.index");
  EXPECT_TRUE(Says(Check().second, "is a directory, where a file is expected"));
}

TEST_F(CheckFilesTest, ADamagedIndex) {
  Write("variables/variables.index", "no table");
  EXPECT_TRUE(Says(Check().second, "'" + Index() + "'")) << Check().second;
}

TEST_F(CheckFilesTest, NoData) {
  WriteVariables();
  fs::remove(Data());
  EXPECT_EQ(Check(), std::pair(Code::kNotFound, "'" + Data() + "' is missing; is the copy complete?"));
  fs::create_directory(Data());
  EXPECT_NE(Check().second, "");
}

TEST_F(CheckFilesTest, ShortData) {
  WriteVariables();
  fs::resize_file(Data(), 51);
  EXPECT_EQ(Check(), std::pair(Code::kDataLoss, "'" + Data() +
                                                    "' is 51 bytes long, and the index needs 52; is the copy "
                                                    "complete?"));
  fs::resize_file(Data(), 53);
  EXPECT_EQ(Check().second, "");
}

TEST_F(CheckFilesTest, AssetsOutside) {
  tf::MetaGraphDef meta_graph;
  *meta_graph.add_asset_file_def() = Asset("inside");
  EXPECT_EQ(Check(meta_graph).second, "");
  *meta_graph.add_asset_file_def() = Asset("../outside");
  EXPECT_EQ(Check(meta_graph), std::pair(Code::kInvalidArgument,
                                         "'" + folder_.string() +
                                             "': the asset '../outside' lies outside of the SavedModel's "
                                             "assets folder"));
}

TEST_F(FilesTest, List) {
  Write("a", "1");
  Write("b/c", "22");
  Write("b/d/e", "");
  Folder("empty");
  using Sizes = std::map<std::string, std::int64_t>;
  EXPECT_EQ(ListFiles(folder_.string()), (Sizes{{"a", 1}, {"b/c", 2}, {"b/d/e", 0}}));
  EXPECT_EQ(ListFiles(Path("lost")), Sizes{});
  Write("1/2/3/4/5/6/7/8/there", "");
  Write("1/2/3/4/5/6/7/8/9/deeper", "");
  EXPECT_EQ(ListFiles(Path("1")).size(), 2U);
  EXPECT_EQ(ListFiles(folder_.string()).count("1/2/3/4/5/6/7/8/there"), 1U);
  EXPECT_EQ(ListFiles(folder_.string()).size(), 4U);
}

}  // namespace
}  // namespace savedmodel::engine
