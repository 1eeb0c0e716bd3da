// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/bottleneck.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/packs_input.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph_view.h"
#include "engine/kernels/bottleneck.h"
#include "engine/kernels/integers.h"
#include "engine/kernels/isa.h"
#include "engine/ops/attributes.h"
#include "engine/ops/constant_cache.h"
#include "engine/ops/depthwise.h"
#include "engine/ops/epilogue.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace si = tensorflow::shape_inference;
namespace {

using Index = std::int64_t;

// Each part of an image computes the rows again that it shares with the one before: an eighth at most of
// parts that are dealt out, a third of one for each thread.
constexpr Index kRowsForShared = 8;
constexpr Index kMinRowsForShared = 3;
constexpr Index kPartsPerThread = 4;

absl::Status InferShape(si::InferenceContext* context) {
  int expands = 0, projects = 0;
  tf::Padding padding;
  std::vector<std::int32_t> strides;
  std::vector<Index> paddings;
  TF_RETURN_IF_ERROR(context->GetAttr("num_expand", &expands));
  TF_RETURN_IF_ERROR(context->GetAttr("num_project", &projects));
  TF_RETURN_IF_ERROR(context->GetAttr("padding", &padding));
  TF_RETURN_IF_ERROR(context->GetAttr("strides", &strides));
  TF_RETURN_IF_ERROR(context->GetAttr("explicit_paddings", &paddings));
  TF_RETURN_IF_ERROR(tf::CheckValidPadding(padding, paddings, 4, tf::FORMAT_NHWC));
  si::ShapeHandle x, filter, y;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &x));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1 + expands), 4, &filter));
  y = x;
  for (int axis = 1; axis < 3; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    const bool is_explicit = padding == tf::EXPLICIT;
    si::DimensionHandle size;
    TF_RETURN_IF_ERROR(si::GetWindowedOutputSizeFromDimsV2(
        context, context->Dim(x, axis), context->Dim(filter, axis - 1), 1, strides[at], padding,
        is_explicit ? paddings[2 * at] : -1, is_explicit ? paddings[2 * at + 1] : -1, &size));
    TF_RETURN_IF_ERROR(context->ReplaceDim(y, axis, size, &y));
  }
  si::DimensionHandle channels = context->Dim(filter, 2);
  if (projects > 0) {
    const si::ShapeHandle weights = context->input(3 + expands);
    channels = context->RankKnown(weights) ? context->Dim(weights, -1) : context->UnknownDim();
  }
  TF_RETURN_IF_ERROR(context->ReplaceDim(y, 3, channels, &y));
  context->set_output(0, y);
  return absl::OkStatus();
}

// expand: weights and bias; project: these and, maybe, an addend.
REGISTER_OP(kBottleneckOp)
    .Input("x: float")
    .Input("expand: num_expand * float")
    .Input("filter: float")
    .Input("bias: float")
    .Input("project: num_project * float")
    .Output("y: float")
    .Attr("num_expand: int >= 0")
    .Attr("num_project: int >= 0")
    .Attr("expand_activation: string = ''")
    .Attr("expand_leakyrelu_alpha: float = 0.2")
    .Attr("strides: list(int)")
    .Attr(tf::GetPaddingAttrStringWithExplicit())
    .Attr(tf::GetExplicitPaddingsAttrString())
    .Attr("activation: string = ''")
    .Attr("leakyrelu_alpha: float = 0.2")
    .Attr("project_activation: string = ''")
    .Attr("project_leakyrelu_alpha: float = 0.2")
    .Attr("precision: string = ''")
    .SetShapeFn(InferShape);

class BottleneckOp : public tf::OpKernel, public PacksInput {
 public:
  explicit BottleneckOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, depthwise_.Read(context));
    OP_REQUIRES_OK(context, context->GetAttr("num_expand", &expands_));
    OP_REQUIRES_OK(context, context->GetAttr("num_project", &projects_));
    OP_REQUIRES(context, expands_ % 2 == 0 && expands_ <= 2 && projects_ != 1 && projects_ <= 3,
                absl::InvalidArgumentError("a 1x1 convolution has weights and a bias"));
    OP_REQUIRES_OK(context, ReadActivation(context, "expand_", &expand_.activation, &expand_.alpha));
    OP_REQUIRES_OK(context, ReadActivation(context, "project_", &project_.activation, &project_.alpha));
    OP_REQUIRES_OK(context, ReadGemmKernel(context, &kernel_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() == 4,
                absl::InvalidArgumentError(absl::StrCat("not an image: ", x.shape().DebugString())));
    Bottleneck block{};
    block.kernels = &ImageKernelsOf(BestIsa());
    const int filter = 1 + expands_;
    OP_REQUIRES_OK(context,
                   depthwise_.Apply(x.dim_size(1), x.dim_size(2), context->input(filter),
                                    context->input(filter + 1), &block.depthwise, &block.out_height));
    const Index middle = block.depthwise.channels;
    std::shared_ptr<const PackedWeights> expand, project;
    if (expands_ > 0)
      OP_REQUIRES_OK(context, Prepare(context, 1, &expand_weights_, expand_, &expand, &block.expand));
    if (projects_ > 0)
      OP_REQUIRES_OK(context,
                     Prepare(context, filter + 2, &project_weights_, project_, &project, &block.project));
    OP_REQUIRES(
        context,
        block.in_channels() == x.dim_size(3) && (!expand || expand->columns() == middle) &&
            (!project || project->depth() == middle),
        absl::InvalidArgumentError(absl::StrCat("channels do not fit those of ", x.shape().DebugString())));
    // Of an image of nothing, TensorFlow's first layer gives what the second does not take.
    OP_REQUIRES(
        context, !ConvolvesNothing(x.shape()) || x.dim_size(3) == middle,
        absl::InvalidArgumentError(absl::StrCat(
            "input depth must be evenly divisible by filter depth: ", x.dim_size(3), " vs ", middle)));
    tf::TensorShape shape({x.dim_size(0), block.out_height, block.depthwise.out_width, block.out_channels()});
    const tf::TensorShape padded = depthwise_.padding().Padded(x.shape());
    const bool nothing = ConvolvesNothing(padded);
    if (nothing) shape = padded;
    tf::Tensor* y = nullptr;
    const int addend = projects_ > 2 && !nothing ? context->num_inputs() - 1 : -1;
    OP_REQUIRES_OK(context, AllocateOutput(context, addend, shape, &block.addend, &y));
    if (y->NumElements() == 0) return;
    block.x = static_cast<const float*>(x.data());
    block.y = static_cast<float*>(y->data());
    const Stop stop = StopOf(context);
    const bool takes_long =
        block.RowNs() * static_cast<double>(x.dim_size(0) * block.out_height) > kNsBetweenLooks;
    if (takes_long) block.stop = &stop;
    Run(context, block, x.dim_size(0));
    if (takes_long) EndIfStopped(context, stop);
  }

  bool HasPacked(int input) const override {
    if (expands_ > 0 && input == 1) return expand_weights_.is_made();
    return projects_ > 0 && input == 1 + expands_ + 2 && project_weights_.is_made();
  }

 private:
  absl::Status Prepare(tf::OpKernelContext* context, int input, ConstantCache<PackedWeights>* packed,
                       const PointwiseLayer& attributes, std::shared_ptr<const PackedWeights>* weights,
                       PointwiseLayer* layer) const {
    const tf::Tensor& from = context->input(input);
    const tf::Tensor& bias = context->input(input + 1);
    if (from.dims() < 2 || from.NumElements() == 0 || bias.NumElements() != from.dim_size(from.dims() - 1))
      return absl::InvalidArgumentError(absl::StrCat("a 1x1 convolution with ", from.shape().DebugString(),
                                                     " and a bias of ", bias.shape().DebugString()));
    const Index columns = bias.NumElements();
    const Index depth = from.NumElements() / columns;
    *weights = packed->Get(from, LayoutOf(*kernel_, false, depth, columns), [&] {
      return std::make_shared<const PackedWeights>(*kernel_, static_cast<const float*>(from.data()), false,
                                                   depth, columns);
    });
    *layer = attributes;
    layer->weights = weights->get();
    layer->bias = static_cast<const float*>(bias.data());
    return absl::OkStatus();
  }

  void Run(tf::OpKernelContext* context, const Bottleneck& block, Index images) const {
    const Index rows = images * block.out_height;
    const Index threads = UsableThreads(context);
    if (threads == 1) return block.Run(0, rows);
    const Index shared = expands_ > 0 ? block.shared_rows() : 0;
    const auto least = [&](Index for_shared) {
      return std::max<Index>(DivideUp(shared * for_shared, block.depthwise.stride_height), 1);
    };
    const Index most = std::min(rows / least(kRowsForShared), threads * kPartsPerThread);
    // Layer by layer threads wait for each other, and read what others have written.
    const bool fits = rows % threads == 0 && rows / threads >= least(kMinRowsForShared);
    if (most < threads && !fits) return RunLayers(context, block, images, static_cast<int>(threads));
    const Index parts = std::max<Index>(most / threads, 1) * threads;
    const double cost = block.RowNs() * static_cast<double>(rows) / static_cast<double>(parts);
    ParallelFor(context, parts, cost,
                [&](Index first, Index end) { block.Run(rows * first / parts, rows * end / parts); });
  }

  // Layer by layer, for threads that would have too few rows each.
  void RunLayers(tf::OpKernelContext* context, const Bottleneck& block, Index images, int threads) const {
    DepthwiseImage depthwise = block.depthwise;
    const Index in_pixels = images * depthwise.height * depthwise.width;
    const Index pixels = images * block.out_height * depthwise.out_width;
    depthwise.x = block.x;
    depthwise.y = block.y;
    tf::Tensor expanded, middle;
    if (expands_ > 0) {
      OP_REQUIRES_OK(context,
                     context->allocate_temp(tf::DT_FLOAT, {in_pixels, depthwise.channels}, &expanded));
      Multiply(context, block.expand, block.x, in_pixels, nullptr, threads,
               static_cast<float*>(expanded.data()));
      depthwise.x = static_cast<const float*>(expanded.data());
    }
    if (projects_ > 0) {
      OP_REQUIRES_OK(context, context->allocate_temp(tf::DT_FLOAT, {pixels, depthwise.channels}, &middle));
      depthwise.y = static_cast<float*>(middle.data());
    }
    DepthwiseImages(context, depthwise, images, block.out_height);
    if (projects_ > 0) Multiply(context, block.project, depthwise.y, pixels, block.addend, threads, block.y);
  }

  static void Multiply(tf::OpKernelContext* context, const PointwiseLayer& layer, const float* x,
                       Index pixels, const float* addend, int threads, float* y) {
    Gemm(layer.Problem(x, pixels, addend, y), *layer.weights, threads, ParallelLoop{context});
  }

  const GemmKernel* kernel_ = nullptr;
  DepthwiseAttributes depthwise_;
  PointwiseLayer expand_, project_;  // activations
  int expands_ = 0, projects_ = 0;
  ConstantCache<PackedWeights> expand_weights_, project_weights_;
};

REGISTER_KERNEL_BUILDER(Name(kBottleneckOp).Device(tf::DEVICE_CPU), BottleneckOp);

}  // namespace

tf::NodeDef BottleneckNode(const tf::NodeDef* expand, const tf::NodeDef& depthwise,
                           const tf::NodeDef* project) {
  tf::NodeDef node;
  node.set_op(kBottleneckOp);
  node.add_input((expand == nullptr ? depthwise : *expand).input(0));
  const auto add_inputs = [&](const tf::NodeDef* from) {
    const int count = from == nullptr ? 0 : CountDataInputs(*from);
    for (int i = 1; i < count; ++i) node.add_input(from->input(i));
    return std::max(count - 1, 0);
  };
  auto& attributes = *node.mutable_attr();
  attributes["num_expand"].set_i(add_inputs(expand));
  add_inputs(&depthwise);
  attributes["num_project"].set_i(add_inputs(project));
  const std::initializer_list<const char*> activation{"activation", "leakyrelu_alpha"};
  CopyAttrs(depthwise, {"strides", "padding", "explicit_paddings"}, &node);
  CopyAttrs(depthwise, activation, &node);
  if (expand != nullptr) CopyAttrs(*expand, activation, &node, "expand_");
  if (project != nullptr) CopyAttrs(*project, activation, &node, "project_");
  return node;
}

}  // namespace savedmodel::engine
