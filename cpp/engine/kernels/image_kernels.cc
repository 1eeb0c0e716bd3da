// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/image_kernels.h"

#include "engine/kernels/isa.h"

namespace savedmodel::engine {

SAVEDMODEL_DECLARE_PER_ISA(ImageKernels, kImageKernels)

const ImageKernels& ImageKernelsOf(Isa isa) { return SAVEDMODEL_OF_ISA(isa, kImageKernels); }

}  // namespace savedmodel::engine
