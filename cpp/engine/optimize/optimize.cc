// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/optimize.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "engine/graph/attributes.h"
#include "engine/graph/functions.h"
#include "engine/graph/rewriter.h"
#include "engine/optimize/factors.h"
#include "engine/optimize/fold.h"
#include "engine/optimize/freeze.h"
#include "engine/optimize/grappler.h"
#include "engine/optimize/int8.h"
#include "engine/optimize/passes/passes.h"
#include "engine/optimize/recurrent/recurrent.h"
#include "engine/optimize/tidy.h"
#include "engine/optimize/widen.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// In v1 loops and branches a constant belongs to its frame or branch, which the rewrites do not respect.
void RefuseLoweredControlFlow(const tf::GraphDef& graph) {
  for (const tf::NodeDef& node : graph.node()) {
    if (!IsControlFlow(node.op())) continue;
    throw Error(Code::kUnimplemented,
                "the graph has v1 control flow (op '" + node.op() + "', node '" + node.name() + "')");
  }
}

// A SavedModel may omit attributes with their default; TensorFlow's passes abort without them.
void AddDefaultAttributes(tf::GraphDef* graph) {
  ForEachNode(graph, [](tf::NodeDef* node) {
    const tf::OpDef* op = FindOp(node->op());
    if (op != nullptr) tf::AddDefaultsToNodeDef(*op, node);
  });
}

class Stopwatch {
 public:
  explicit Stopwatch(OptimizationReport* report) : report_(report), begin_(Now()), last_(begin_) {}
  void Record(const char* name, const char* what, int count) {
    const double now = Now();
    report_->passes.push_back({name, what, count, now - last_});
    last_ = now;
    report_->seconds = now - begin_;
  }

 private:
  OptimizationReport* report_;
  double begin_;
  double last_;
};

void Apply(const std::vector<Pass>& passes, IsolatedGraph* isolated, ConstantPool* pool, Stopwatch* watch) {
  std::unordered_set<std::string> fetches;
  for (const std::string& tensor : isolated->fetches) fetches.insert(TensorRef(tensor).node);
  Rewriter rewriter(&isolated->graph, pool);
  for (const Pass& pass : passes) {
    const int count = pass.apply(&rewriter);
    // The rest of a pattern would be a second reader of its inputs.
    if (count > 0) rewriter.RemoveUnread(fetches);
    watch->Record(pass.name, pass.what, count);
  }
  rewriter.Finish();
}

void Note(const std::string& note, OptimizationReport* report) {
  const std::vector<std::string>& notes = report->notes;
  if (!note.empty() && std::find(notes.begin(), notes.end(), note) == notes.end())
    report->notes.push_back(note);
}

// Folds factors that TensorFlow must not see into weights first, if they can absorb them; returns their
// number.
int FoldWhatIsConstant(const tf::DeviceSet& devices, ConstantPool* pool, IsolatedGraph* isolated,
                       OptimizationReport* report) {
  tf::Device* const device = devices.client_device();
  int taken = 0;
  Tidy(isolated);
  if (!FoldingHazard(isolated->graph).empty()) {
    PruneGraph(devices, isolated);
    FoldAllConstants(&isolated->graph, device, pool);
    Rewriter rewriter(&isolated->graph, pool);
    taken = FoldAffineIntoWeights(&rewriter);
    rewriter.Finish();
  }
  const std::string note = FoldingHazard(isolated->graph);
  Note(note, report);
  if (note.empty()) {
    FoldConstants(devices, isolated);
    FoldLargeConstants(&isolated->graph, device, pool);
  } else {
    PruneGraph(devices, isolated);
    FoldAllConstants(&isolated->graph, device, pool);
    Tidy(isolated);
  }
  return taken;
}

}  // namespace

void InlineCalls(const tf::DeviceSet& devices, ConstantPool* pool, IsolatedGraph* isolated) {
  RefuseLoweredControlFlow(isolated->graph);
  AddDefaultAttributes(&isolated->graph);
  CompileNoFunctions(&isolated->graph);
  ClearDevicesInFunctions(&isolated->graph);
  PoolLargeConstants(&isolated->graph, pool);
  KeepLoops(&isolated->graph);
  InlineFunctions(devices, isolated);
  RefuseLoweredControlFlow(isolated->graph);
  PoolLargeConstants(&isolated->graph, pool);
}

void OptimizeGraph(const tf::SessionOptions& options, const tf::DeviceSet& devices, Optimize level,
                   const std::set<std::string>& float32_layers,
                   const std::function<bool(const tf::NodeDef&, tf::Tensor*)>& value, ConstantPool* pool,
                   IsolatedGraph* isolated, OptimizationReport* report) {
  Stopwatch watch(report);
  InlineCalls(devices, pool, isolated);
  report->nodes_before = isolated->graph.node_size();
  watch.Record("inline", "function calls become part of the graph", 0);

  const Widened widened = Widen(isolated);
  Note(widened.why_not, report);
  watch.Record("widen", "float16 and bfloat16 are computed in float32", widened.nodes);

  int layers = 0;
  std::unordered_set<std::string> names;
  for (const std::string& tensor : isolated->feeds) names.insert(TensorRef(tensor).node);
  for (const std::string& tensor : isolated->fetches) names.insert(TensorRef(tensor).node);
  for (const RecurrentRewrite& rewrite : FuseRecurrent(&isolated->graph, names)) {
    layers += rewrite.kind.empty() ? 0 : 1;
    if (rewrite.kind.empty()) {
      report->notes.push_back("loop '" + rewrite.node + "' stays a loop: " + rewrite.why_not);
    }
  }
  watch.Record("recurrent", "loops of LSTM and GRU layers become one op each", layers);

  const Frozen frozen = Freeze(&isolated->graph, pool, value);
  report->variables_frozen = frozen.variables;
  report->frozen_bytes = frozen.bytes;
  if (frozen.kept > 0) {
    report->notes.push_back(std::to_string(frozen.kept) +
                            " variables stay variables: they may be written, or have no value yet");
  }
  watch.Record("freeze", "variables that nobody writes become constants", frozen.reads);

  const int affine = FoldWhatIsConstant(devices, pool, isolated, report);
  watch.Record("fold", "what depends on constants only is computed", 0);
  Apply(Passes(), isolated, pool, &watch);
  for (PassReport& pass : report->passes) pass.count += pass.name == "affine" ? affine : 0;
  if (level == Optimize::kDefault) {
    const int products = NarrowProducts(widened, isolated);
    watch.Record("bfloat16", "products of bfloat16 factors use the CPU's instructions for it", products);
  }
  if (level == Optimize::kBf16)
    watch.Record("bf16", "products and convolutions in bfloat16", UseBfloat16(devices, isolated));
  if (level == Optimize::kInt8) {
    const int products = UseInt8(float32_layers, pool, isolated, report);
    watch.Record("int8", "products in int8, rounded row by row", products);
  }
  const std::string hazard = FoldingHazard(isolated->graph);
  Note(hazard, report);
  Note(OptimizeAsSession(options, devices, hazard.empty(), isolated), report);
  FoldLargeConstants(&isolated->graph, devices.client_device(), pool);
  watch.Record("tensorflow", "TensorFlow's own graph optimizer", 0);
  report->nodes_after = isolated->graph.node_size();
}

}  // namespace savedmodel::engine
