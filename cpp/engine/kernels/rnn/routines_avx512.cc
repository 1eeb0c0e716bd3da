// SPDX-License-Identifier: Apache-2.0
// AVX-512F; compiled with its flags.
#define SAVEDMODEL_RNN_VECTOR 16
#define SAVEDMODEL_RNN_ACCUMULATORS 24
#include "engine/kernels/rnn/routines_impl.h"

namespace savedmodel::engine::rnn {

const Routines kAvx512Routines = kRoutines;

}  // namespace savedmodel::engine::rnn
