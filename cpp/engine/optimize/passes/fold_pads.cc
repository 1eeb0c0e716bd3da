// SPDX-License-Identifier: Apache-2.0
// Zeros around the height and width of an image become the padding of what reads it (p is constant):
//
//   Conv2D(Pad(x, p), w), VALID                  Conv2D(x, w), SAME where that is p, or else EXPLICIT p
//   DepthwiseConv2dNative(Pad(x, p), w), VALID   the same, SAME only: its fused kernel ends the process at
//   EXPLICIT MaxPool(Pad(x, p)), VALID, x >= 0            MaxPool(x), EXPLICIT p
//
// and the same for PadV2 with zero.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/optimize/passes/linear.h"
#include "engine/optimize/passes/passes.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Pads = std::vector<std::int64_t>;  // before and after, for N, H, W, C

bool PadsOf(const tf::NodeDef& pad, Rewriter* graph, Pads* pads) {
  const bool v2 = pad.op() == "PadV2";
  if ((!v2 && pad.op() != "Pad") || graph->Type(pad) != tf::DT_FLOAT || HasControlInputs(pad)) return false;
  if (v2) {
    const tf::Tensor* value = graph->Constant(pad, 2);
    if (value == nullptr || value->NumElements() != 1 || value->flat<float>()(0) != 0) return false;
  }
  const tf::Tensor* constant = graph->Constant(pad, 1);
  if (constant == nullptr || constant->shape() != tf::TensorShape({4, 2})) return false;
  const auto given = Integers(constant);
  if (!given) return false;
  *pads = *given;
  const auto negative = [](std::int64_t count) { return count < 0; };
  return std::none_of(pads->begin(), pads->end(), negative) && (*pads)[0] + (*pads)[1] == 0 &&
         (*pads)[6] + (*pads)[7] == 0;
}

// Whether SAME pads an image of `shape` as `pads` do.
bool IsSame(const Pads& pads, const tf::PartialTensorShape& shape, const tf::Tensor& weights,
            const std::vector<std::int64_t>& strides, const std::vector<std::int64_t>& dilations) {
  if (shape.dims() != 4) return false;
  for (int axis = 1; axis < 3; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    const std::int64_t size = shape.dim_size(axis), stride = strides[i];
    if (size <= 0) return false;
    const std::int64_t window = (weights.dim_size(axis - 1) - 1) * dilations[i] + 1;
    const std::int64_t all =
        std::max<std::int64_t>(((size + stride - 1) / stride - 1) * stride + window - size, 0);
    if (pads[2 * i] != all / 2 || pads[2 * i + 1] != all - all / 2) return false;
  }
  return true;
}

void SetExplicit(const Pads& pads, tf::NodeDef* node) {
  (*node->mutable_attr())["padding"].set_s("EXPLICIT");
  auto* list = (*node->mutable_attr())["explicit_paddings"].mutable_list();
  list->clear_i();
  for (const std::int64_t count : pads) list->add_i(count);
}

bool FoldInto(tf::NodeDef* node, const tf::NodeDef& pad, const Pads& pads, Rewriter* graph) {
  if (graph->Type(*node) != tf::DT_FLOAT || !IsChannelsLast(*node) || Attr(*node, "padding").s() != "VALID")
    return false;
  const std::string& op = node->op();
  if (op == "MaxPool") {
    const tf::NodeDef* source = graph->Input(pad, 0);
    if (source == nullptr || (source->op() != "Relu" && source->op() != "Relu6")) return false;
    // No window may lie in the padding alone.
    const std::vector<std::int64_t> window = SpatialAttribute(*node, "ksize");
    for (std::size_t i = 2; i < 6; ++i) {
      if (pads[i] >= window[i / 2]) return false;
    }
    SetExplicit(pads, node);
    return true;
  }
  if (op != "Conv2D" && op != "DepthwiseConv2dNative") return false;
  const tf::Tensor* weights = graph->Constant(*node, 1);
  const bool same = weights != nullptr && weights->dims() == 4 &&
                    IsSame(pads, graph->Shape(pad.input(0)), *weights, SpatialAttribute(*node, "strides"),
                           SpatialAttribute(*node, "dilations"));
  if (!same && op != "Conv2D") return false;
  if (same) {
    (*node->mutable_attr())["padding"].set_s("SAME");
  } else {
    SetExplicit(pads, node);
  }
  return true;
}

}  // namespace

int FoldPads(Rewriter* graph) {
  int count = 0;
  for (tf::NodeDef* pad : graph->nodes()) {
    Pads pads;
    if (!PadsOf(*pad, graph, &pads)) continue;
    const std::vector<Rewriter::Reader> readers = graph->Readers(*pad);
    for (const Rewriter::Reader& reader : readers) {
      if (reader.input != 0 || IsControl(reader.node->input(0))) continue;
      if (!FoldInto(reader.node, *pad, pads, graph)) continue;
      graph->SetInput(reader.node, 0, pad->input(0));
      ++count;
    }
    if (graph->Readers(*pad).empty()) graph->Remove(pad);
  }
  return count;
}

}  // namespace savedmodel::engine
