// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/bottleneck.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/floats.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;

// Values between the layers take half of a second-level cache of 1 MB.
constexpr Index kFloats = Index{1} << 17;

void Multiply(const PointwiseLayer& layer, const float* pixels, Index count, const float* addend, float* y) {
  GemmPanels(layer.Problem(pixels, count, addend, y), *layer.weights, 0, layer.weights->panels());
}

// Consecutive rows of one image.
class Rows {
 public:
  Rows(const Bottleneck& block, Index image) : block_(block), window_(block.depthwise) {
    in_row_ = window_.width * block.in_channels();
    row_ = window_.width * window_.channels;
    middle_row_ = window_.out_width * window_.channels;
    out_row_ = window_.out_width * block.out_channels();
    x_ = block.x + image * window_.height * in_row_;
    y_ = block.y + image * block.out_height * out_row_;
    if (block.addend != nullptr) addend_ = block.addend + image * block.out_height * out_row_;
    const Index for_row = (expands() ? window_.stride_height * row_ : 0) + (projects() ? middle_row_ : 0);
    strip_ = std::max<Index>((kFloats - (expands() ? block.shared_rows() * row_ : 0)) / for_row, 1);
  }

  void Run(Index first, Index end) {
    const Index strips = DivideUp(end - first, strip_);
    strip_ = DivideUp(end - first, strips);
    const Index max_rows = (strip_ - 1) * window_.stride_height + window_.window_height;
    float* const room = ThreadRoom<Rows>((expands() ? max_rows * row_ : 0) + strip_ * middle_row_);
    middle_ = expands() ? room + max_rows * row_ : room;
    expanded_ = room;
    for (Index i = 0, row = first; i < strips; ++i) {
      const Index next = first + (end - first) * (i + 1) / strips;
      if (IsStopped(block_.stop)) return;
      RunStrip(row, next);
      row = next;
    }
  }

 private:
  bool expands() const { return block_.expand.weights != nullptr; }
  bool projects() const { return block_.project.weights != nullptr; }

  void RunStrip(Index row, Index end) {
    DepthwiseImage part = window_;
    part.x = x_;
    if (expands()) {
      // Rows of the image that the windows reach; some may remain from the previous strip.
      const Index top = row * window_.stride_height - window_.pad_top;
      const Index begin = std::clamp<Index>(top, 0, window_.height);
      const Index bottom = top + (end - row - 1) * window_.stride_height + window_.window_height;
      Expand(begin, std::clamp(bottom, begin, window_.height));
      part.x = expanded_;
      part.height -= begin;
      part.pad_top = begin - top;
    } else {
      part.pad_top -= row * window_.stride_height;
    }
    part.y = projects() ? middle_ : y_ + row * out_row_;
    block_.kernels->depthwise(part, 0, end - row);
    if (!projects()) return;
    const float* addend = addend_ == nullptr ? nullptr : addend_ + row * out_row_;
    Multiply(block_.project, middle_, (end - row) * window_.out_width, addend, y_ + row * out_row_);
  }

  void Expand(Index begin, Index end) {
    const Index kept = std::clamp<Index>(expanded_end_ - begin, 0, end - begin);
    if (kept > 0) {
      const auto bytes = static_cast<std::size_t>(kept * row_) * sizeof(float);
      std::memmove(expanded_, expanded_ + (begin - expanded_begin_) * row_, bytes);
    }
    if (begin + kept < end) {
      Multiply(block_.expand, x_ + (begin + kept) * in_row_, (end - begin - kept) * window_.width, nullptr,
               expanded_ + kept * row_);
    }
    expanded_begin_ = begin;
    expanded_end_ = end;
  }

  const Bottleneck& block_;
  const DepthwiseImage& window_;
  Index in_row_, row_, middle_row_, out_row_;
  const float* x_;
  float* y_;
  const float* addend_ = nullptr;
  Index strip_;  // rows of the result
  float* expanded_ = nullptr;
  float* middle_ = nullptr;
  Index expanded_begin_ = 0, expanded_end_ = 0;
};

double MultiplicationsNs(const PointwiseLayer& layer) {
  if (layer.weights == nullptr) return 0;
  return static_cast<double>(layer.weights->depth() * layer.weights->columns()) / kMultiplicationsPerNs;
}

}  // namespace

GemmProblem PointwiseLayer::Problem(const float* pixels, Index count, const float* addend, float* y) const {
  GemmProblem problem{{pixels, weights->depth()}, count, bias, addend, y, weights->columns()};
  problem.activation = activation;
  problem.alpha = alpha;
  return problem;
}

double Bottleneck::RowNs() const {
  const auto in_pixels = static_cast<double>(depthwise.width * depthwise.stride_height);
  return in_pixels * MultiplicationsNs(expand) + DepthwiseRowNs(depthwise) +
         static_cast<double>(depthwise.out_width) * MultiplicationsNs(project);
}

Index Bottleneck::shared_rows() const {
  return std::max<Index>(depthwise.window_height - depthwise.stride_height, 0);
}

void Bottleneck::Run(Index first, Index end) const {
  while (first < end) {
    const Index image = first / out_height;
    const Index last = std::min(end, (image + 1) * out_height);
    Rows(*this, image).Run(first - image * out_height, last - image * out_height);
    first = last;
  }
}

}  // namespace savedmodel::engine
