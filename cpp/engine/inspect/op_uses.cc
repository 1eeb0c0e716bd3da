// SPDX-License-Identifier: Apache-2.0
#include "engine/inspect/op_uses.h"

#include <algorithm>
#include <unordered_set>

#include "engine/files/files.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "engine/graph/provenance.h"
#include "engine/graph/signatures.h"
#include "engine/objects/saved_functions.h"
#include "savedmodel/error.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/op.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kPrintToFile[] = "PrintV2:file";
constexpr std::size_t kNodesShown = 3;
constexpr std::size_t kOpsShown = 5;

bool IsSaverOp(const std::string& op) {
  static const std::set<std::string> ops{
      "MergeV2Checkpoints", "Restore", "RestoreSlice",    "RestoreV2",      "Save",
      "SaveSlices",         "SaveV2",  "ShardedFilename", "ShardedFilespec"};
  return ops.count(op) > 0;
}

bool IsRestore(const std::string& op) { return op == "RestoreV2" || op == "Restore" || op == "RestoreSlice"; }

bool IsTableFromFile(const std::string& op) {
  return op == "InitializeTableFromTextFile" || op == "InitializeTableFromTextFileV2";
}

// A PrintV2 that writes to a file counts as an op of its own; so does one whose stream a caller chooses.
std::string OpOf(const tf::NodeDef& node) {
  if (node.op() != "PrintV2") return node.op();
  const tf::AttrValue* stream = FindAttr(node, "output_stream");
  if (stream == nullptr) return node.op();
  static const std::set<std::string> harmless{"stdout", "stderr", "log(info)", "log(warning)", "log(error)"};
  return harmless.count(stream->s()) > 0 ? node.op() : kPrintToFile;
}

// The nodes that a run of some others reaches, including the functions that they call.
class Reach {
 public:
  Reach(const Scopes& scopes, const std::vector<std::string>& tensors) : scopes_(scopes) {
    scopes.graph().view.Walk(tensors, [this](const tf::NodeDef& node) {
      nodes_.insert(&node);
      AddCalled(node);
    });
  }
  bool Has(const tf::NodeDef& node) const { return nodes_.count(&node) > 0; }
  void AddFunction(const std::string& name) {
    const auto function = scopes_.functions().find(name);
    if (function == scopes_.functions().end()) return;
    for (const tf::NodeDef& node : function->second.view.nodes()) {
      if (nodes_.insert(&node).second) AddCalled(node);
    }
  }

 private:
  void AddCalled(const tf::NodeDef& start) {
    std::vector<const tf::NodeDef*> pending{&start};
    while (!pending.empty()) {
      const tf::NodeDef* node = pending.back();
      pending.pop_back();
      for (const Scope* called : scopes_.CalledBy(*node)) {
        for (const tf::NodeDef& inner : called->view.nodes()) {
          if (nodes_.insert(&inner).second) pending.push_back(&inner);
        }
      }
    }
  }
  const Scopes& scopes_;
  std::unordered_set<const tf::NodeDef*> nodes_;
};

void AddTensors(const tf::TensorInfo& info, std::vector<std::string>* names) {
  names->push_back(info.name());
  const tf::TensorInfo::CooSparse& sparse = info.coo_sparse();
  for (const std::string& name :
       {sparse.values_tensor_name(), sparse.indices_tensor_name(), sparse.dense_shape_tensor_name()}) {
    names->push_back(name);
  }
  for (const tf::TensorInfo& part : info.composite_tensor().components()) AddTensors(part, names);
}

// The output tensors of all signatures.
std::vector<std::string> SignatureTensors(const tf::MetaGraphDef& meta_graph) {
  std::vector<std::string> names;
  for (const auto& [key, signature] : meta_graph.signature_def()) {
    if (key == tf::kSavedModelInitOpSignatureKey || key == tf::kSavedModelTrainOpSignatureKey) continue;
    for (const auto& [output, info] : signature.outputs()) AddTensors(info, &names);
  }
  return names;
}

std::set<std::string> AssetTensors(const tf::MetaGraphDef& meta_graph) {
  std::set<std::string> names;
  for (const tf::AssetFileDef& asset : AssetFiles(meta_graph)) {
    if (StaysInside(asset)) names.insert(asset.tensor_info().name());
  }
  return names;
}

class LoaderUses {
 public:
  LoaderUses(const tf::MetaGraphDef& meta_graph, const Scopes& scopes)
      : called_(scopes, SignatureTensors(meta_graph)),
        initialized_(scopes, {InitOpOf(meta_graph)}),
        restored_(scopes, {meta_graph.saver_def().restore_op_name()}),
        variables_(scopes, {meta_graph.saver_def().filename_tensor_name()}),
        assets_(scopes, AssetTensors(meta_graph)) {
    // A program can call these functions like signatures.
    const SavedFunctions functions(meta_graph.object_graph_def());
    for (const auto& [path, function] : functions.all()) {
      for (const ConcreteFunction& trace : function.traces) called_.AddFunction(trace.name);
    }
  }

  bool Has(const Scope& scope, const tf::NodeDef& node) {
    // Names of files come from the loader only if no signature reaches the node.
    if (called_.Has(node)) return false;
    if (IsTableFromFile(node.op())) {
      return node.input_size() > 1 && assets_.OnlyFromSources(scope, node.input(1));
    }
    if (!IsSaverOp(node.op()) || initialized_.Has(node)) return false;
    if (!restored_.Has(node)) return true;  // savers that nothing runs remain from training
    return IsRestore(node.op()) && node.input_size() > 0 && variables_.OnlyFromSources(scope, node.input(0));
  }

 private:
  Reach called_;
  Reach initialized_;
  Reach restored_;
  Provenance variables_;
  Provenance assets_;
};

}  // namespace

std::map<std::string, OpUse> CountOpUses(const tf::MetaGraphDef& meta_graph) {
  const Scopes scopes(meta_graph.graph_def());
  LoaderUses loader(meta_graph, scopes);
  std::map<std::string, OpUse> uses;
  const auto add = [&](const Scope& scope, const tf::NodeDef& node, const std::string& prefix) {
    // A function may be called like an op, but can't take an op's name.
    if (scopes.functions().count(node.op()) > 0 && FindOp(node.op()) == nullptr) return;
    OpUse& use = uses[OpOf(node)];
    ++use.count;
    if (loader.Has(scope, node)) {
      ++use.loader_count;
    } else if (use.nodes.size() < kNodesShown) {
      use.nodes.push_back(prefix + node.name());
    }
  };
  for (const tf::NodeDef& node : meta_graph.graph_def().node()) add(scopes.graph(), node, "");
  for (const tf::FunctionDef& function : meta_graph.graph_def().library().function()) {
    const std::string& name = function.signature().name();
    for (const tf::NodeDef& node : function.node_def()) add(scopes.functions().at(name), node, name + "/");
  }
  return uses;
}

void CheckOps(const std::string& path, const tf::MetaGraphDef& meta_graph, const OpRules& rules) {
  std::vector<std::string> found;
  std::vector<std::string> unknown;
  for (const auto& [op, use] : CountOpUses(meta_graph)) {
    if (use.count == use.loader_count) continue;
    const auto refused = rules.refused.find(op);
    const std::string where = op + " at '" + use.nodes.front() + "' ";
    if (refused != rules.refused.end()) {
      found.push_back(where + "(" + refused->second + ")");
    } else if (rules.known.count(op) == 0) {
      unknown.push_back(where + "(unknown)");
    }
  }
  found.insert(found.end(), unknown.begin(), unknown.end());
  if (found.empty()) return;
  std::string text;
  for (std::size_t i = 0; i < found.size() && i < kOpsShown; ++i) text += (i ? "; " : "") + found[i];
  if (found.size() > kOpsShown) text += "; and " + std::to_string(found.size() - kOpsShown) + " more ops";
  throw Error(Code::kPermissionDenied, "'" + path + "' uses ops that are not allowed: " + text);
}

std::vector<std::string> ListRegisteredOps() {
  std::vector<tf::OpDef> ops;
  tf::OpRegistry::Global()->GetRegisteredOps(&ops);
  std::vector<std::string> names;
  names.reserve(ops.size());
  for (const tf::OpDef& op : ops) names.push_back(op.name());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace savedmodel::engine
