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
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/optimize/passes/convolution.h"
#include "engine/optimize/passes/linear.h"
#include "tensorflow/core/framework/attr_value.pb.h"
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
    while (!pending.empty()) {
      auto& [current, input] = pending.back();
      if (depths_.count(current) > 0) {
        pending.pop_back();
      } else if (input < current->input_size()) {
        const tf::NodeDef* source = graph_.Input(*current, input++);
        // A loop of TensorFlow 1 leads back.
        if (source != nullptr && depths_.count(source) == 0 && open_.insert({source, true}).second)
          pending.emplace_back(source, 0);
      } else {
        int depth = 0;
        for (int i = 0; i < current->input_size(); ++i) {
          const auto found = depths_.find(graph_.Input(*current, i));
          if (found != depths_.end()) depth = std::max(depth, found->second + 1);
        }
        depths_[current] = depth;
        pending.pop_back();
      }
    }
    return depths_.at(&node);
  }

 private:
  const Rewriter& graph_;
  std::unordered_map<const tf::NodeDef*, int> depths_;
  std::unordered_map<const tf::NodeDef*, bool> open_;
};

bool IsActivation(const tf::NodeDef& node) {
  const std::string& op = node.op();
  return op == "Relu" || op == "Relu6" || op == "Elu" || op == "LeakyRelu";
}

// The BiasAdd of a convolution behind input `input` of `add`, if nothing else reads either; or null.
tf::NodeDef* BiasedConvolution(const tf::NodeDef& add, int input, Rewriter* graph) {
  tf::NodeDef* bias = graph->Input(add, input, "BiasAdd");
  if (bias == nullptr || HasControlInputs(*bias) || graph->OnlyReader(*bias) != &add) return nullptr;
  tf::NodeDef* convolution = graph->Input(*bias, 0, "Conv2D");
  const bool fits = convolution != nullptr && IsLinear(*graph, *convolution) && IsChannelsLast(*bias) &&
                    !HasControlInputs(*convolution) && graph->OnlyReader(*convolution) == bias;
  return fits ? bias : nullptr;
}

void Fuse(tf::NodeDef* add, int input, tf::NodeDef* bias, Rewriter* graph) {
  tf::NodeDef* last = add;
  std::vector<std::string> fused{"BiasAdd", "Add"};
  float slope = 0.2F;
  tf::NodeDef* reader = graph->OnlyReader(*add);
  if (reader != nullptr && IsActivation(*reader) && graph->Input(*reader, 0) == add) {
    fused.push_back(reader->op());
    if (const tf::AttrValue* alpha = FindAttr(*reader, "alpha"); alpha != nullptr) slope = alpha->f();
    last = reader;
  }
  tf::NodeDef* convolution = graph->Input(*bias, 0);
  const tf::NodeDef copy = *convolution;
  graph->Become(last, "_FusedConv2D", {copy.input(0), copy.input(1), bias->input(1), add->input(1 - input)});
  auto& attributes = *last->mutable_attr();
  attributes = copy.attr();
  attributes["TArgs"].mutable_list()->add_type(tf::DT_FLOAT);
  attributes["TArgs"].mutable_list()->add_type(tf::DT_FLOAT);
  attributes["num_args"].set_i(2);
  attributes["num_host_args"].set_i(0);
  for (const std::string& op : fused) attributes["fused_ops"].mutable_list()->add_s(op);
  attributes["epsilon"].set_f(0);
  attributes["leakyrelu_alpha"].set_f(slope);
  if (last != add) graph->Remove(add);
  graph->Remove(bias);
  graph->Remove(convolution);
}

}  // namespace

int FuseResidualAdds(Rewriter* graph) {
  if (!tf::IsMKLEnabled()) return 0;  // only oneDNN's kernel takes an addend
  int count = 0;
  for (tf::NodeDef* add : graph->nodes()) {
    if ((add->op() != "Add" && add->op() != "AddV2") || HasControlInputs(*add)) continue;
    if (graph->Type(*add) != tf::DT_FLOAT || !graph->SameShape(add->input(0), add->input(1))) continue;
    tf::NodeDef* const biases[] = {BiasedConvolution(*add, 0, graph), BiasedConvolution(*add, 1, graph)};
    int chosen = biases[0] != nullptr ? 0 : 1;
    if (biases[chosen] == nullptr) continue;
    // Of two, the one that would be done later: the other's result is there by then.
    if (biases[0] != nullptr && biases[1] != nullptr) {
      Depths depths(*graph);
      chosen = depths.Of(*biases[1]) > depths.Of(*biases[0]) ? 1 : 0;
    }
    Fuse(add, chosen, biases[chosen], graph);
    ++count;
  }
  return count;
}

}  // namespace savedmodel::engine
