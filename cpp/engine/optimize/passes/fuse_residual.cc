// SPDX-License-Identifier: Apache-2.0
// The end of a residual block. oneDNN adds the other addend while it convolves, and where nobody else reads
// that, writes the sum over it:
//
//   Add(BiasAdd(Conv2D(x, w), b), y)           _FusedConv2D(x, w, b, y) {BiasAdd, Add}
//   Relu(AddV2(y, BiasAdd(Conv2D(x, w), b)))   _FusedConv2D(x, w, b, y) {BiasAdd, Add, Relu}
//
// and the same with Relu6, Elu and LeakyRelu. The convolution and its bias have no other reader, so y can't
// depend on them. Shapes must be equal: the kernel doesn't broadcast.
#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/match/pattern.h"
#include "engine/optimize/passes/layer.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The longest way from a node without inputs to each node.
class Depths {
 public:
  explicit Depths(const Rewriter& graph) : graph_(graph) {}

  int Of(const tf::NodeDef& node) {
    std::vector<std::pair<const tf::NodeDef*, int>> pending{{&node, 0}};
    depths_.emplace(&node, 0);
    while (!pending.empty()) {
      auto& [current, input] = pending.back();
      const tf::NodeDef* source = graph_.Input(*current, input);
      if (input == current->input_size()) {
        pending.pop_back();
      } else if (source != nullptr && depths_.emplace(source, 0).second) {
        pending.emplace_back(source, 0);  // and then again, when its depth is known
      } else {
        if (source != nullptr) depths_[current] = std::max(depths_[current], depths_[source] + 1);
        ++input;
      }
    }
    return depths_.at(&node);
  }

 private:
  const Rewriter& graph_;
  std::unordered_map<const tf::NodeDef*, int> depths_;
};

}  // namespace

int FuseResidualAdds(Rewriter* graph) {
  if (!tf::IsMKLEnabled()) return 0;  // only oneDNN's kernel takes an addend
  const auto is_linear = [graph](const tf::NodeDef& node) { return IsLinear(*graph, node); };
  const auto convolution = Op({"Conv2D"}).where(is_linear).once();
  const auto biased = Op({"BiasAdd"}, {convolution}).where(IsChannelsLast).once();
  const auto activation = Op({"Relu", "Relu6", "Elu", "LeakyRelu"}).loose();
  Match match(graph);
  return CountReplaced(graph, {"Add", "AddV2"}, [&](tf::NodeDef* add) {
    if (!IsSum(*graph, add)) return false;
    std::vector<int> inputs;
    for (const int i : {0, 1}) {
      const tf::NodeDef* bias = graph->Input(*add, i);
      if (bias != nullptr && match.Find(biased, *bias)) inputs.push_back(i);
    }
    if (inputs.empty() || !graph->SameShape(add->input(0), add->input(1))) return false;
    // Of two, the one that would be done later: the other's result is there by then.
    Depths depths(*graph);
    if (inputs.size() == 2 && depths.Of(*graph->Input(*add, 1)) <= depths.Of(*graph->Input(*add, 0)))
      inputs.pop_back();
    tf::NodeDef* bias = graph->Input(*add, inputs.back());
    Epilogue epilogue{bias->input(1), add->input(1 - inputs.back()), ""};
    tf::NodeDef *last = add, *reader = graph->OnlyReader(*add);
    if (reader != nullptr && match.Find(activation, *reader)) {
      epilogue.activation = reader->op();
      if (const tf::AttrValue* alpha = FindAttr(*reader, "alpha"); alpha != nullptr)
        epilogue.alpha = alpha->f();
      last = reader;
    }
    tf::NodeDef* convolved = graph->Input(*bias, 0);
    BecomeFused(last, *convolved, epilogue, graph);
    if (last != add) graph->Remove(add);
    graph->Remove(bias);
    graph->Remove(convolved);
    return true;
  });
}

}  // namespace savedmodel::engine
