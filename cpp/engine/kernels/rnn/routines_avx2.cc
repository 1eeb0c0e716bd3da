// SPDX-License-Identifier: Apache-2.0
// AVX2 and FMA; compiled with their flags.
#define SAVEDMODEL_RNN_VECTOR 8
#define SAVEDMODEL_RNN_ACCUMULATORS 12
#include "engine/kernels/rnn/routines_impl.h"

namespace savedmodel::engine::rnn {

const Routines kAvx2Routines = kRoutines;

}  // namespace savedmodel::engine::rnn
