// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/rnn.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/packs_input.h"
#include "engine/kernels/rnn/kernel.h"
#include "engine/ops/constant_cache.h"
#include "engine/threads/parallel_for.h"
#include "tensorflow/core/framework/kernel_def_builder.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_def_builder.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/threadpool.h"

namespace savedmodel::engine::rnn {
namespace {
namespace tf = tensorflow;
using Index = std::int64_t;

class RnnOp : public tf::OpKernel, public PacksInput {
 public:
  explicit RnnOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    if (context->def().op() == kLstmOp) {
      cell_ = Cell::kLstm;
    } else {
      bool reset_after = false;
      OP_REQUIRES_OK(context, context->GetAttr("reset_after", &reset_after));
      cell_ = reset_after ? Cell::kGruResetAfter : Cell::kGruResetBefore;
    }
    OP_REQUIRES_OK(context, context->GetAttr("time_major", &options_.time_major));
    OP_REQUIRES_OK(context, context->GetAttr("y_time_major", &options_.y_time_major));
    OP_REQUIRES_OK(context, context->GetAttr("reverse", &options_.reverse));
    OP_REQUIRES_OK(context, context->GetAttr("reverse_y", &options_.reverse_y));
    OP_REQUIRES_OK(context, context->GetAttr("sequence", &options_.sequence));
    OP_REQUIRES_OK(context, context->GetAttr("steps", &options_.steps));
    OP_REQUIRES_OK(context, context->GetAttr("cache_weights", &options_.cache_weights));
    OP_REQUIRES_OK(context, context->GetAttr("mask_time_major", &options_.mask_time_major));
    OP_REQUIRES_OK(context, context->GetAttr("masked_is_zero", &options_.masked_is_zero));
    OP_REQUIRES_OK(context, context->GetAttr("no_steps", &options_.no_steps));
    OP_REQUIRES_OK(context, context->GetAttr("rows_without_steps", &options_.rows_without_steps));
  }

  void Compute(tf::OpKernelContext* context) override {
    tf::OpInputList biases, states, masks;
    OP_REQUIRES_OK(context, context->input_list("bias", &biases));
    OP_REQUIRES_OK(context, context->input_list("initial_state", &states));
    OP_REQUIRES_OK(context, context->input_list("mask", &masks));
    const tf::Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() == 3, Invalid("x is not of rank 3", x));
    const Index time = x.dim_size(options_.time_major ? 0 : 1),
                sequences = x.dim_size(options_.time_major ? 1 : 0);
    const Index steps = options_.steps < 0 ? time : options_.steps;
    OP_REQUIRES(context, steps <= time, Invalid("fewer steps than the loop walks", x));
    if (steps == 0) return WithoutSteps(context, sequences, states);
    OP_REQUIRES_OK(context, CheckWeights(x.dim_size(2), context->input(1), context->input(2), biases));
    Index batch = sequences;
    for (const tf::Tensor& state : states) {
      OP_REQUIRES(context, state.dims() == 2, Invalid("an initial state has the wrong shape", state));
      if (batch == 1) batch = state.dim_size(0);
    }
    for (const tf::Tensor& mask : masks) {
      OP_REQUIRES(context, mask.dims() == 3 && mask.dim_size(2) == 1,
                  Invalid("a mask has the wrong shape", mask));
      if (batch == 1) batch = mask.dim_size(options_.mask_time_major ? 1 : 0);
    }
    const std::shared_ptr<const Network> network = Pack(context->input(1), context->input(2), biases);
    const Index units = network->units();

    Sequence s;
    s.steps = steps;
    s.batch = batch;
    s.x = x.flat<float>().data();
    s.x_stride = x.dim_size(2) * (options_.time_major ? sequences : 1);
    s.x_row = sequences == 1 ? 0 : x.dim_size(2) * (options_.time_major ? 1 : time);
    if (options_.reverse && time > 0) {
      s.x += s.x_stride * (time - 1);
      s.x_stride = -s.x_stride;
    }
    for (int i = 0; i < states.size(); ++i) {
      const tf::Tensor& state = states[i];
      OP_REQUIRES(context,
                  (state.dim_size(0) == batch || state.dim_size(0) == 1) && state.dim_size(1) == units,
                  Invalid("an initial state has the wrong shape", state));
      (i == 0 ? s.h0 : s.c0) = state.flat<float>().data();
      (i == 0 ? s.h0_row : s.c0_row) = state.dim_size(0) == batch ? units : 0;
    }
    if (masks.size() > 0) OP_REQUIRES_OK(context, ReadMask(masks[0], &s));

    tf::Tensor* y = nullptr;
    tf::TensorShape y_shape({0});
    if (options_.sequence && options_.y_time_major) y_shape = tf::TensorShape({steps, batch, units});
    if (options_.sequence && !options_.y_time_major) y_shape = tf::TensorShape({batch, steps, units});
    OP_REQUIRES_OK(context, context->allocate_output(0, y_shape, &y));
    if (options_.sequence) {
      s.y = y->flat<float>().data();
      s.y_stride = units * (options_.y_time_major ? batch : 1);
      s.y_row = units * (options_.y_time_major ? 1 : steps);
      if (options_.reverse_y && steps > 0) {
        s.y += s.y_stride * (steps - 1);
        s.y_stride = -s.y_stride;
      }
    }
    for (int i = 1; i < Last(context); ++i) {
      tf::Tensor* state = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(i, tf::TensorShape({batch, units}), &state));
      (i == 1 ? s.h : s.c) = state->flat<float>().data();
    }
    if (s.mask == nullptr) {
      context->set_output(Last(context), *context->mutable_output(1));
    } else {
      tf::Tensor* last = nullptr;
      OP_REQUIRES_OK(context,
                     context->allocate_output(Last(context), tf::TensorShape({batch, units}), &last));
      s.last = last->flat<float>().data();
    }

    Threads threads;
    threads.count = UsableThreads(context);
    if (threads.count > 1) {
      threads.run = [context](Index n, const std::function<void(Index, Index)>& body) {
        constexpr double kLong = 1e9;  // the network has decided that threads pay
        engine::ParallelFor(context, n, kLong, body);
      };
      const auto* workers = context->device()->tensorflow_cpu_worker_threads();
      threads.start = [workers](std::function<void()> task) { workers->workers->Schedule(std::move(task)); };
    }
    const Stop stop = StopOf(context);
    s.stop = &stop;
    network->Run(s, threads);
    EndIfStopped(context, stop);
  }

  bool HasPacked(int input) const override {
    if (input != 1 && input != 2) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    return packed_ != nullptr;
  }

 private:
  static int Last(const tf::OpKernelContext* context) { return context->num_outputs() - 1; }

  void WithoutSteps(tf::OpKernelContext* context, Index batch, const tf::OpInputList& states) const {
    const tf::Tensor& recurrent = context->input(2);
    OP_REQUIRES(context, recurrent.dims() == 2,
                Invalid("the recurrent kernel has the wrong shape", recurrent));
    OP_REQUIRES(
        context, options_.no_steps != "error",
        absl::InvalidArgumentError("a sequence of no steps has no last result, and its results have no "
                                   "shape that is known"));
    const Index rows = options_.rows_without_steps < 0 ? batch : options_.rows_without_steps,
                units = recurrent.dim_size(0);
    const tf::TensorShape results =
        options_.y_time_major ? tf::TensorShape({0, rows, units}) : tf::TensorShape({rows, 0, units});
    for (int i = 0; i < context->num_outputs(); ++i) {
      const bool last = i == Last(context);
      if (i > 0 && states.size() > 0 && !(last && options_.no_steps == "zeros")) {
        context->set_output(i, states[last ? 0 : i - 1]);
        continue;
      }
      const tf::TensorShape shape = i > 0               ? tf::TensorShape({last ? rows : batch, units})
                                    : options_.sequence ? results
                                                        : tf::TensorShape({0});
      tf::Tensor* output = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(i, shape, &output));
      output->flat<float>().setZero();
    }
  }

  absl::Status ReadMask(const tf::Tensor& mask, Sequence* s) const {
    const Index time = mask.dim_size(options_.mask_time_major ? 0 : 1),
                rows = mask.dim_size(options_.mask_time_major ? 1 : 0);
    if (time < s->steps || (rows != s->batch && rows != 1))
      return Invalid("a mask has the wrong shape", mask);
    s->mask = mask.flat<bool>().data();
    s->mask_stride = options_.mask_time_major ? rows : 1;
    s->mask_row = rows == 1 ? 0 : options_.mask_time_major ? 1 : time;
    s->masked_is_zero = options_.masked_is_zero;
    if (!options_.reverse) return absl::OkStatus();
    s->mask += s->mask_stride * (time - 1);
    s->mask_stride = -s->mask_stride;
    return absl::OkStatus();
  }

  static absl::Status Invalid(const std::string& what, const tf::Tensor& tensor) {
    return absl::InvalidArgumentError(what + ": " + tensor.shape().DebugString());
  }

  absl::Status CheckWeights(Index inputs, const tf::Tensor& kernel, const tf::Tensor& recurrent,
                            const tf::OpInputList& biases) const {
    const Index gates = Gates(cell_);
    if (recurrent.dims() != 2 || recurrent.dim_size(1) != gates * recurrent.dim_size(0)) {
      return Invalid("the recurrent kernel has the wrong shape", recurrent);
    }
    const Index width = recurrent.dim_size(1);
    if (kernel.dims() != 2 || kernel.dim_size(0) != inputs || kernel.dim_size(1) != width) {
      return Invalid("the kernel has the wrong shape", kernel);
    }
    const bool after = cell_ == Cell::kGruResetAfter;
    if (biases.size() > (after ? 2 : 1)) return absl::InvalidArgumentError("too many biases");
    for (const tf::Tensor& bias : biases) {
      const bool both = after && biases.size() == 1 && bias.shape() == tf::TensorShape({2, width});
      if (!both && bias.shape() != tf::TensorShape({width}))
        return Invalid("a bias has the wrong shape", bias);
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const Network> Pack(const tf::Tensor& kernel, const tf::Tensor& recurrent,
                                      const tf::OpInputList& biases) {
    Weights w;
    w.units = recurrent.dim_size(0);
    w.inputs = kernel.dim_size(0);
    w.kernel = kernel.flat<float>().data();
    w.recurrent = recurrent.flat<float>().data();
    if (biases.size() > 0) w.bias = biases[0].flat<float>().data();
    if (biases.size() > 1) w.recurrent_bias = biases[1].flat<float>().data();
    if (biases.size() == 1 && biases[0].dims() == 2) w.recurrent_bias = w.bias + recurrent.dim_size(1);
    if (!options_.cache_weights) return std::make_shared<const Network>(cell_, w);

    // Who assigns a variable makes a new buffer if somebody holds the old one, as the cache does: the same
    // buffer is the same weights.
    const auto same = [this](std::size_t i, const tf::Tensor& tensor) {
      return packed_->from[i].data() == tensor.data();
    };
    const std::lock_guard<std::mutex> lock(mutex_);
    bool hit = packed_ != nullptr && same(0, kernel) && same(1, recurrent);
    for (int i = 0; i < biases.size(); ++i) hit = hit && same(static_cast<std::size_t>(i) + 2, biases[i]);
    if (!hit) {
      std::vector<tf::Tensor> from{kernel, recurrent};
      for (const tf::Tensor& bias : biases) from.push_back(bias);
      const Index both = w.recurrent_bias != nullptr ? 1 : 0;
      packed_ =
          ShareCached(from, TypeTag<Network>(), {static_cast<Index>(cell_), w.inputs, w.units, both}, [&] {
            const auto network = std::make_shared<const Network>(cell_, w);
            return MadeConstants{network, network->bytes()};
          });
    }
    return std::static_pointer_cast<const Network>(packed_->value);
  }

  Cell cell_ = Cell::kLstm;
  NodeOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<const CachedConstants> packed_;
};

absl::Status InferShapes(tf::shape_inference::InferenceContext* c) {
  namespace si = tf::shape_inference;
  bool time_major = false, y_time_major = false, sequence = false;
  Index steps = -1;
  int states = 0, masks = 0;
  TF_RETURN_IF_ERROR(c->GetAttr("num_state", &states));
  TF_RETURN_IF_ERROR(c->GetAttr("num_mask", &masks));
  TF_RETURN_IF_ERROR(c->GetAttr("time_major", &time_major));
  TF_RETURN_IF_ERROR(c->GetAttr("y_time_major", &y_time_major));
  TF_RETURN_IF_ERROR(c->GetAttr("sequence", &sequence));
  TF_RETURN_IF_ERROR(c->GetAttr("steps", &steps));
  si::ShapeHandle x, recurrent;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &x));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 2, &recurrent));
  const si::DimensionHandle units = c->Dim(recurrent, 0);
  si::DimensionHandle batch = c->Dim(x, time_major ? 1 : 0);
  for (int i = c->num_inputs() - states - masks; i < c->num_inputs() - masks; ++i) {
    const si::DimensionHandle rows = c->RankKnown(c->input(i)) ? c->Dim(c->input(i), 0) : c->UnknownDim();
    // One sequence takes the rows of its states; without a step, results are the states themselves.
    if (!rows.SameHandle(batch) && !(c->ValueKnown(rows) && c->Value(rows) == c->Value(batch)))
      batch = c->UnknownDim();
  }
  if (masks > 0 && !(c->ValueKnown(batch) && c->Value(batch) > 1)) batch = c->UnknownDim();
  const si::DimensionHandle time = steps < 0 ? c->Dim(x, time_major ? 0 : 1) : c->MakeDim(steps);
  c->set_output(0, !sequence      ? c->MakeShape({c->MakeDim(0)})
                   : y_time_major ? c->MakeShape({time, batch, units})
                                  : c->MakeShape({batch, time, units}));
  for (int i = 1; i < c->num_outputs(); ++i) c->set_output(i, c->MakeShape({batch, units}));
  return absl::OkStatus();
}

void RegisterOp(const char* name, bool lstm) {
  // Not OpRegistry's LookUp: for the first op that it does not know, it makes a list of all that it does.
  if (tf::GetRegisteredKernelsForOp(name).kernel_size() != 0) return;
  tf::OpRegistry::Global()->Register([name, lstm](tf::OpRegistrationData* data) {
    tf::OpDefBuilder op(name);
    op.Input("x: float").Input("kernel: float").Input("recurrent_kernel: float");
    op.Input("bias: num_bias * float").Input("initial_state: num_state * float");
    op.Input("mask: num_mask * bool");
    op.Output("y: float").Output("h: float");
    if (lstm) op.Output("c: float");
    op.Output("last: float");
    op.Attr("num_bias: int >= 0").Attr("num_state: int >= 0");
    op.Attr("time_major: bool").Attr("y_time_major: bool").Attr("reverse: bool").Attr("reverse_y: bool");
    op.Attr("sequence: bool").Attr("steps: int = -1").Attr("cache_weights: bool = false");
    op.Attr("num_mask: int >= 0 = 0");
    op.Attr("mask_time_major: bool = false").Attr("masked_is_zero: bool = false");
    op.Attr("no_steps: {'states', 'zeros', 'error'} = 'states'").Attr("rows_without_steps: int = -1");
    if (!lstm) op.Attr("reset_after: bool");
    op.SetShapeFn(InferShapes);
    return op.Finalize(data);
  });
  tf::kernel_factory::OpKernelRegistrar(
      tf::KernelDefBuilder(name).Device(tf::DEVICE_CPU).Build(), "RnnOp",
      [](tf::OpKernelConstruction* context) -> tf::OpKernel* { return new RnnOp(context); });
}

}  // namespace

tf::NodeDef NetworkNode(Cell cell, const NodeInputs& inputs, const NodeOptions& options) {
  tf::NodeDef node;
  node.set_op(cell == Cell::kLstm ? kLstmOp : kGruOp);
  for (const std::string& input : {inputs.x, inputs.kernel, inputs.recurrent_kernel}) node.add_input(input);
  for (const std::string& bias : inputs.biases) node.add_input(bias);
  for (const std::string& state : inputs.states) node.add_input(state);
  if (!inputs.mask.empty()) node.add_input(inputs.mask);
  for (const std::string& control : inputs.controls) node.add_input(control);
  auto& attr = *node.mutable_attr();
  attr["num_bias"].set_i(static_cast<Index>(inputs.biases.size()));
  attr["num_state"].set_i(static_cast<Index>(inputs.states.size()));
  attr["num_mask"].set_i(inputs.mask.empty() ? 0 : 1);
  attr["mask_time_major"].set_b(options.mask_time_major);
  attr["masked_is_zero"].set_b(options.masked_is_zero);
  attr["time_major"].set_b(options.time_major);
  attr["y_time_major"].set_b(options.y_time_major);
  attr["reverse"].set_b(options.reverse);
  attr["reverse_y"].set_b(options.reverse_y);
  attr["sequence"].set_b(options.sequence);
  attr["steps"].set_i(options.steps);
  attr["cache_weights"].set_b(options.cache_weights);
  attr["no_steps"].set_s(options.no_steps);
  attr["rows_without_steps"].set_i(options.rows_without_steps);
  if (cell != Cell::kLstm) attr["reset_after"].set_b(cell == Cell::kGruResetAfter);
  return node;
}

void RegisterOps() {
  static std::once_flag once;
  std::call_once(once, [] {
    RegisterOp(kLstmOp, true);
    RegisterOp(kGruOp, false);
  });
}

}  // namespace savedmodel::engine::rnn
