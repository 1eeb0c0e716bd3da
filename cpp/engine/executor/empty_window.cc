// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/empty_window.h"

#include <string>

#include "absl/strings/match.h"
#include "engine/graph/attributes.h"
#include "tensorflow/core/framework/kernel_shape_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

std::vector<std::int64_t> ListAttr(const tf::NodeDef& node, const char* name) {
  const auto& values = Attr(node, name).list().i();
  return {values.begin(), values.end()};
}

std::int64_t At(const std::vector<std::int64_t>& values, int axis, std::int64_t otherwise) {
  return static_cast<std::size_t>(axis) < values.size() ? values[static_cast<std::size_t>(axis)] : otherwise;
}

}  // namespace

std::unique_ptr<const EmptyWindow> EmptyWindow::Of(const tf::NodeDef& node) {
  const std::string& op = node.op();
  const bool pools = absl::StrContains(op, "MaxPool") || absl::StrContains(op, "AvgPool");
  if (!absl::StartsWith(op, "_Mkl") || absl::StrContains(op, "Backprop") || absl::StrContains(op, "Grad") ||
      !(pools || absl::StrContains(op, "Conv")))
    return nullptr;
  std::unique_ptr<EmptyWindow> window(new EmptyWindow);
  window->pools_ = pools;
  window->depthwise_ = absl::StrContains(op, "Depthwise");
  window->pads_ = absl::StrContains(op, "PadWith");
  window->channels_last_ = !absl::StartsWith(Attr(node, "data_format").s(), "NC");
  if (!tf::GetPaddingFromString(Attr(node, "padding").s(), &window->padding_).ok() ||
      window->padding_ == tf::SAME)
    return nullptr;
  window->windows_ = ListAttr(node, "ksize");
  window->strides_ = ListAttr(node, "strides");
  window->dilations_ = ListAttr(node, "dilations");
  window->paddings_ = ListAttr(node, "explicit_paddings");
  return window;
}

std::int64_t EmptyWindow::SizeOf(int axis, std::int64_t size, std::int64_t window) const {
  std::int64_t result = -1, before = At(paddings_, 2 * axis, 0), after = At(paddings_, 2 * axis + 1, 0);
  const bool known =
      tf::GetWindowedOutputSizeVerbose(size, window, At(dilations_, axis, 1), At(strides_, axis, 1), padding_,
                                       &result, &before, &after)
          .ok();
  return known ? result : -1;
}

std::optional<tf::TensorShape> EmptyWindow::Result(absl::Span<const tf::TensorValue> inputs) const {
  if (inputs.size() < (pools_ ? 1U : 2U)) return {};
  const tf::TensorShape& image = inputs[0]->shape();
  const int rank = image.dims();
  if (rank < 3 || image.num_elements() == 0) return {};
  const tf::TensorShape* weights = pools_ ? nullptr : &inputs[1]->shape();
  if (weights != nullptr && weights->dims() != rank) return {};
  tf::TensorShape result = image;
  const int first = channels_last_ ? 1 : 2;
  for (int axis = first; axis < first + rank - 2; ++axis) {
    std::int64_t size = image.dim_size(axis);
    if (pads_) {
      const tf::Tensor& paddings = *inputs.back().tensor;
      if (paddings.dtype() != tf::DT_INT32 || paddings.NumElements() != 2 * rank) return {};
      size += paddings.flat<std::int32_t>()(2 * axis) + paddings.flat<std::int32_t>()(2 * axis + 1);
    }
    const std::int64_t window = pools_ ? At(windows_, axis, 1) : weights->dim_size(axis - first);
    const std::int64_t count = SizeOf(axis, size, window);
    if (count < 0) return {};  // the kernel says so
    result.set_dim(axis, count);
  }
  if (weights != nullptr) {
    const std::int64_t last = weights->dim_size(rank - 1);
    result.set_dim(channels_last_ ? rank - 1 : 1, depthwise_ ? last * weights->dim_size(rank - 2) : last);
  }
  return result.num_elements() == 0 ? std::optional(result) : std::nullopt;
}

}  // namespace savedmodel::engine
