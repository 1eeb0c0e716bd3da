// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/vector_kernels.h"

#include "engine/kernels/isa.h"

namespace savedmodel::engine {

SAVEDMODEL_DECLARE_PER_ISA(VectorKernels, kVectorKernels)

const VectorKernels& VectorKernelsOf(Isa isa) { return SAVEDMODEL_OF_ISA(isa, kVectorKernels); }

}  // namespace savedmodel::engine
