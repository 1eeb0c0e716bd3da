// SPDX-License-Identifier: Apache-2.0
// The kernels as TensorFlow ops, which optimize/recurrent.h puts where a loop was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kernels/rnn/kernel.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine::rnn {

// Names of the ops. Both take
//   x                 [batch, time, inputs], or [time, batch, inputs] if `time_major`
//   kernel            [inputs, gates * units]
//   recurrent_kernel  [units, gates * units]
//   bias              none; one [gates * units]; with `reset_after` also one [2, gates * units] (of the input
//   and of
//                     the recurrent product), or the two apart
//   initial_state     none (zeros), or one tensor for each state: [batch, units] or [1, units]
//   mask              none, or [batch, time, 1] ([time, batch, 1] if `mask_time_major`); see kernel.h
// and make
//   y                 each step's h if `sequence`, else nothing: batch-major, or time-major if `y_time_major`
//   h, (c)            the last state, [batch, units]
//   last              the last result: h, if there was a step and no mask
// `reverse` walks x and the mask from their last steps; `reverse_y` writes y from its last step. `steps`, if
// not -1, is how many steps are walked. `cache_weights`: nobody changes the weights in place, so they are
// packed once. Without a step states stay as they are, and nothing is multiplied; `no_steps` says what else:
// `last` is the `states`' h as well, `zeros`, or an `error`; `rows_without_steps`, if not -1, is the batch of
// `y` and `last` then. A batch of one sequence walks with as many initial states as there are.
inline constexpr char kLstmOp[] = "_SavedmodelLSTM";
inline constexpr char kGruOp[] = "_SavedmodelGRU";

// What a node of them is made of; attributes are as above.
struct NodeOptions {
  bool time_major = false, y_time_major = false, reverse = false, reverse_y = false, sequence = false;
  bool mask_time_major = false, masked_is_zero = false, cache_weights = false;
  std::int64_t steps = -1, rows_without_steps = -1;
  std::string no_steps;
};
struct NodeInputs {
  std::string x, kernel, recurrent_kernel;
  std::vector<std::string> biases, states;
  std::string mask;  // empty: none
  std::vector<std::string> controls;
};
// A node without name and device.
tensorflow::NodeDef NetworkNode(Cell cell, const NodeInputs& inputs, const NodeOptions& options);

// Registers ops and kernels in TensorFlow's registry, unless they are there. Must have been called before a
// graph with them is used; FuseRecurrent does it. Not done by a static initialiser: a second copy of this
// library in the process would register them twice, and TensorFlow aborts on that.
void RegisterOps();

}  // namespace savedmodel::engine::rnn
