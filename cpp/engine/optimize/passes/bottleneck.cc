// SPDX-License-Identifier: Apache-2.0
// A depthwise convolution with the 1x1 convolutions around it, so that what is between them, the largest
// arrays of MobileNets and EfficientNets, never leaves the caches:
//
// | pattern                                                       | becomes               |
// |---------------------------------------------------------------|-----------------------|
// | [_SavedmodelDense ->] _SavedmodelDepthwise                    | _SavedmodelBottleneck |
// |   [-> _SavedmodelDense, its summand if it has one]            |                       |
//
// with one 1x1 convolution at least, which has no stride, and nobody else who reads what is between.
#include <string>
#include <vector>

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/match.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

bool IsPointwise(const Rewriter& graph, const tf::NodeDef* node) {
  if (node == nullptr || node->op() != "_SavedmodelDense" || Attr(*node, "transpose_b").b()) return false;
  for (const std::int64_t stride : Attr(*node, "strides").list().i()) {
    if (stride != 1) return false;
  }
  return ConstantNode(graph, *node, 1) != nullptr;
}

void CopyActivation(const tf::NodeDef& from, const std::string& prefix, tf::NodeDef* to) {
  CopyAttrs(from, {"activation", "leakyrelu_alpha"}, to, prefix);
}

bool Fuse(Rewriter* graph, tf::NodeDef* depthwise) {
  if (HasControlInputs(*depthwise)) return false;
  tf::NodeDef* expand = graph->Input(*depthwise, 0, "_SavedmodelDense");
  if (!IsPointwise(*graph, expand) || HasControlInputs(*expand) || CountDataInputs(*expand) != 3 ||
      graph->OnlyReader(*expand) != depthwise)
    expand = nullptr;
  tf::NodeDef* project = graph->OnlyReader(*depthwise);
  if (!IsPointwise(*graph, project) || graph->Input(*project, 0) != depthwise) project = nullptr;
  if (expand == nullptr && project == nullptr) return false;
  std::vector<std::string> inputs{expand == nullptr ? depthwise->input(0) : expand->input(0)};
  if (expand != nullptr) inputs.insert(inputs.end(), {expand->input(1), expand->input(2)});
  inputs.insert(inputs.end(), {depthwise->input(1), depthwise->input(2)});
  const int projected = project == nullptr ? 0 : CountDataInputs(*project);
  for (int i = 1; i < projected; ++i) inputs.push_back(project->input(i));
  const tf::NodeDef middle = *depthwise;
  const tf::NodeDef last = project == nullptr ? middle : *project;
  tf::NodeDef* const fused = project == nullptr ? depthwise : project;
  graph->Become(fused, "_SavedmodelBottleneck", inputs);
  auto& attributes = *fused->mutable_attr();
  attributes["num_expand"].set_i(expand == nullptr ? 0 : 2);
  attributes["num_project"].set_i(project == nullptr ? 0 : projected - 1);
  CopyAttrs(middle, {"strides", "padding", "explicit_paddings"}, fused);
  CopyActivation(middle, "", fused);
  if (project != nullptr) {
    CopyActivation(last, "project_", fused);
    graph->Remove(depthwise);
  }
  if (expand != nullptr) {
    CopyActivation(*expand, "expand_", fused);
    graph->Remove(expand);
  }
  return true;
}

}  // namespace

int FuseBottlenecks(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* node : graph->nodes()) {
    if (node->op() == "_SavedmodelDepthwise") count += Fuse(graph, node) ? 1 : 0;
  }
  return count;
}

}  // namespace savedmodel::engine
