// SPDX-License-Identifier: Apache-2.0
// Convolutions over time, and dilated ones, as TensorFlow's functions write them (x is float32 with the
// channels last, p and c are constant, `act` is an activation):
//
//   BatchToSpaceND(Conv2D(SpaceToBatchND(x, d, p), w), d, c)      Conv2D(x, w), dilations d, EXPLICIT p - c
//   the same, with ExpandDims before and Squeeze behind Conv2D    ExpandDims, this, Squeeze
//   ExpandDims(Pad(x, p))                                         Pad(ExpandDims(x), p)
//   act(BiasAdd(Squeeze(Conv2D(x, w)), b))                        Squeeze(act(BiasAdd(Conv2D(x, w), b)))
//
// Later passes then find the paddings before a convolution, and the bias and the activation behind it.
#include <optional>
#include <string>
#include <vector>

#include "engine/optimize/match/match.h"
#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Numbers = std::vector<std::int64_t>;

std::optional<Numbers> ConstantIntegers(const tf::NodeDef& node, int input, Rewriter* graph) {
  return Integers(graph->Constant(node, input));
}

// The axis that ExpandDims adds to a sequence [batch, time, channels] to make an image of height 1.
bool AddsHeight(const tf::NodeDef* node, Rewriter* graph) {
  if (node == nullptr || !IsPlain(*graph, node, "ExpandDims")) return false;
  const auto axis = ConstantIntegers(*node, 1, graph);
  return axis && axis->size() == 1 && ((*axis)[0] == 1 || (*axis)[0] == -3) &&
         graph->Shape(node->input(0)).dims() == 3;
}

bool DropsHeight(const tf::NodeDef* node, const Rewriter& graph) {
  if (!IsPlain(graph, node, "Squeeze")) return false;
  const auto& dims = Attr(*node, "squeeze_dims").list();
  return dims.i_size() == 1 && (dims.i(0) == 1 || dims.i(0) == -3);
}

// Whether the only reader of `node` is `reader`, by its first input.
bool IsReadBy(const tf::NodeDef& node, const tf::NodeDef& reader, const Rewriter& graph) {
  const tf::NodeDef* only = graph.OnlyReader(node);
  return only == &reader && graph.Input(reader, 0) == &node;
}

// A convolution between SpaceToBatchND and BatchToSpaceND.
struct Dilated {
  tf::NodeDef* to_batch = nullptr;
  tf::NodeDef* expand = nullptr;  // null for images
  tf::NodeDef* convolution = nullptr;
  tf::NodeDef* last = nullptr;  // Squeeze or the convolution
};

std::optional<Dilated> Find(const tf::NodeDef& to_space, Rewriter* graph) {
  Dilated found;
  found.last = found.convolution = graph->Input(to_space, 0);
  if (found.last == nullptr || !IsReadBy(*found.last, to_space, *graph)) return {};
  const bool flat = DropsHeight(found.last, *graph);
  if (flat) found.convolution = graph->Input(*found.last, 0);
  if (!IsPlain(*graph, found.convolution, "Conv2D") || !IsChannelsLast(*found.convolution)) return {};
  if (flat && !IsReadBy(*found.convolution, *found.last, *graph)) return {};
  if (!AreOnes(*found.convolution, "strides") || !AreOnes(*found.convolution, "dilations")) return {};
  if (Attr(*found.convolution, "padding").s() != "VALID") return {};
  found.to_batch = graph->Input(*found.convolution, 0);
  if (flat) {
    found.expand = found.to_batch;
    if (!AddsHeight(found.expand, graph) || !IsReadBy(*found.expand, *found.convolution, *graph)) return {};
    found.to_batch = graph->Input(*found.expand, 0);
  }
  const tf::NodeDef& first = flat ? *found.expand : *found.convolution;
  if (!IsPlain(*graph, found.to_batch, "SpaceToBatchND") || !IsReadBy(*found.to_batch, first, *graph))
    return {};
  return found;
}

// The same op on another first input.
tf::NodeDef* AddCopy(const tf::NodeDef& node, const std::string& first, Rewriter* graph) {
  std::vector<std::string> inputs(node.input().begin(), node.input().end());
  inputs[0] = first;
  tf::NodeDef* const copy = graph->Add(node.name() + "/image", node.op(), inputs);
  *copy->mutable_attr() = node.attr();
  return copy;
}

void SetWindows(const Numbers& dilations, const Numbers& pads, tf::NodeDef* convolution) {
  auto& attributes = *convolution->mutable_attr();
  const auto set = [&](const char* name, const Numbers& numbers) {
    auto* list = attributes[name].mutable_list();
    list->clear_i();
    for (const std::int64_t number : numbers) list->add_i(number);
  };
  set("dilations", dilations);
  if (pads == Numbers(8, 0)) return;
  attributes["padding"].set_s("EXPLICIT");
  set("explicit_paddings", pads);
}

bool ReplaceDilated(tf::NodeDef* to_space, Rewriter* graph) {
  if (!IsPlain(*graph, to_space, "BatchToSpaceND")) return false;
  const auto found = Find(*to_space, graph);
  if (!found) return false;
  const auto block = ConstantIntegers(*to_space, 1, graph), crops = ConstantIntegers(*to_space, 2, graph);
  const auto pads = ConstantIntegers(*found->to_batch, 2, graph);
  const std::size_t axes = found->expand != nullptr ? 1 : 2;
  if (!block || ConstantIntegers(*found->to_batch, 1, graph) != block || block->size() != axes) return false;
  if (!crops || !pads || crops->size() != 2 * axes || pads->size() != 2 * axes) return false;
  const tf::PartialTensorShape shape = graph->Shape(found->to_batch->input(0));
  Numbers dilations(4, 1), explicit_pads(8, 0);
  for (std::size_t i = 0; i < axes; ++i) {
    const std::size_t axis = 3 - axes + i;
    dilations[axis] = (*block)[i];
    // TensorFlow refuses other sizes.
    const std::int64_t size = shape.dims() < 0 ? -1 : shape.dim_size(static_cast<int>(1 + i));
    if (size < 0 || (*block)[i] < 1 || (size + (*pads)[2 * i] + (*pads)[2 * i + 1]) % (*block)[i] != 0)
      return false;
    for (const std::size_t side : {0, 1}) {
      // What is cropped at the front would have been computed from other pixels.
      const std::int64_t crop = (*crops)[2 * i + side], pad = (*pads)[2 * i + side] - crop;
      if (pad < 0 || crop < 0 || (side == 0 && crop != 0)) return false;
      explicit_pads[2 * axis + side] = pad;
    }
  }
  // Tensors of these nodes have other shapes now, so that they get new names.
  const tf::NodeDef& old = *found->convolution;
  const std::string& x = found->to_batch->input(0);
  if (found->expand == nullptr) {
    tf::NodeDef convolution = old;
    *convolution.mutable_input(0) = x;
    SetWindows(dilations, explicit_pads, &convolution);
    graph->Become(to_space, convolution);
    return true;
  }
  tf::NodeDef* const image = AddCopy(*found->expand, x, graph);
  tf::NodeDef* const dilated = AddCopy(old, image->name(), graph);
  SetWindows(dilations, explicit_pads, dilated);
  tf::NodeDef squeeze = *found->last;
  *squeeze.mutable_input(0) = dilated->name();
  graph->Become(to_space, squeeze);
  return true;
}

// Pads the image instead of the sequence that becomes it.
bool MovePad(tf::NodeDef* expand, Rewriter* graph) {
  tf::NodeDef* const pad = graph->Input(*expand, 0, "Pad");
  if (pad == nullptr || !IsPlain(*graph, pad, "Pad") || !AddsHeight(expand, graph)) return false;
  const auto pads = ConstantIntegers(*pad, 1, graph);
  if (!pads || pads->size() != 6 || !IsReadBy(*pad, *expand, *graph)) return false;
  tf::Tensor of_image(tf::DT_INT32, {4, 2});
  auto flat = of_image.flat<std::int32_t>();
  flat.setZero();
  for (int i = 0; i < 6; ++i)
    flat(i < 2 ? i : i + 2) = static_cast<std::int32_t>((*pads)[static_cast<std::size_t>(i)]);
  const std::string constant = graph->AddConstant(pad->name() + "/image", of_image)->name();
  const tf::NodeDef* image = AddCopy(*expand, pad->input(0), graph);
  graph->Become(expand, "Pad", {image->name(), constant});
  (*expand->mutable_attr())["T"].set_type(tf::DT_FLOAT);
  (*expand->mutable_attr())["Tpaddings"].set_type(tf::DT_INT32);
  graph->Remove(pad);
  return true;
}

// Swaps a Squeeze with the BiasAdd or the activation that alone reads it.
bool MoveSqueeze(tf::NodeDef* squeeze, Rewriter* graph) {
  if (!DropsHeight(squeeze, *graph)) return false;
  const tf::NodeDef* source = graph->Input(*squeeze, 0);
  if (source == nullptr || !IsReadBy(*source, *squeeze, *graph)) return false;
  tf::NodeDef* const next = graph->OnlyReader(*squeeze);
  if (next == nullptr || graph->Input(*next, 0) != squeeze) return false;
  std::string name;
  float alpha = 0;
  const bool bias = source->op() == "Conv2D" && IsPlain(*graph, next, "BiasAdd") && IsChannelsLast(*next) &&
                    ConstantNode(*graph, *next, 1) != nullptr;
  const bool activation =
      (source->op() == "Conv2D" || source->op() == "BiasAdd") && IsActivation(*graph, next, &name, &alpha);
  if (!bias && !activation) return false;
  const tf::NodeDef* moved = AddCopy(*next, squeeze->input(0), graph);
  tf::NodeDef dropped = *squeeze;
  *dropped.mutable_input(0) = moved->name();
  graph->Become(next, dropped);
  graph->Remove(squeeze);
  return true;
}

}  // namespace

int SimplifyDilations(Rewriter* graph) {
  return CountReplaced(graph, {"BatchToSpaceND"},
                       [graph](tf::NodeDef* node) { return ReplaceDilated(node, graph); });
}

int SimplifyConvolutionsOverTime(Rewriter* graph) {
  int count =
      CountReplaced(graph, {"ExpandDims"}, [graph](tf::NodeDef* node) { return MovePad(node, graph); });
  // Behind a bias, then behind an activation.
  for (int i = 0; i < 2; ++i) {
    count +=
        CountReplaced(graph, {"Squeeze"}, [graph](tf::NodeDef* node) { return MoveSqueeze(node, graph); });
  }
  return count;
}

}  // namespace savedmodel::engine
