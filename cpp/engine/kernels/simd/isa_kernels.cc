// SPDX-License-Identifier: Apache-2.0
// The table of one instruction set.
#include "engine/kernels/isa_kernels.h"

namespace savedmodel::engine::SAVEDMODEL_ISA {

extern const AttentionKernels kAttentionKernels;
extern const GemmKernel kGemmKernel;
extern const ImageKernels kImageKernels;
extern const rnn::Routines kRoutines;
extern const VectorKernels kVectorKernels;
extern const WinogradKernels kWinogradKernels;

extern const IsaKernels kKernels;
const IsaKernels kKernels = {kAttentionKernels, kGemmKernel,    kImageKernels,
                             kRoutines,         kVectorKernels, kWinogradKernels};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
