// SPDX-License-Identifier: Apache-2.0
// What every machine has: SSE2 on x86-64.
#define SAVEDMODEL_RNN_VECTOR 4
#define SAVEDMODEL_RNN_ACCUMULATORS 8
#include "engine/kernels/rnn/routines_impl.h"

namespace savedmodel::engine::rnn {

const Routines kGenericRoutines = kRoutines;

}  // namespace savedmodel::engine::rnn
