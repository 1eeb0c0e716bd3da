// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/isa_kernels.h"

#include "engine/kernels/attention_kernels.h"
#include "engine/kernels/gemm_strip.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/kernels/winograd_kernels.h"

namespace savedmodel::engine {

// Defined by simd/isa_kernels.cc, which is compiled for each instruction set.
namespace generic {
extern const IsaKernels kKernels;
}
#ifdef __x86_64__
namespace avx2 {
extern const IsaKernels kKernels;
}
namespace avx512 {
extern const IsaKernels kKernels;
}
namespace avx512bf16 {
extern const GemmKernel kGemmKernel;
}
#endif

const IsaKernels& KernelsOf(Isa isa) {
  switch (isa) {
#ifdef __x86_64__
    case Isa::kAvx512:
      return avx512::kKernels;
    case Isa::kAvx2:
      return avx2::kKernels;
#endif
    default:
      return generic::kKernels;
  }
}

const GemmKernel* Bfloat16GemmKernel() {
#ifdef __x86_64__
  static const bool has = BestIsa() == Isa::kAvx512 && __builtin_cpu_supports("avx512bf16");
  if (has) return &avx512bf16::kGemmKernel;
#endif
  return nullptr;
}

const AttentionKernels& AttentionKernelsOf(Isa isa) { return KernelsOf(isa).attention; }
const GemmKernel& GemmKernelOf(Isa isa) { return KernelsOf(isa).gemm; }
const ImageKernels& ImageKernelsOf(Isa isa) { return KernelsOf(isa).images; }
const VectorKernels& VectorKernelsOf(Isa isa) { return KernelsOf(isa).vectors; }
const WinogradKernels& WinogradKernelsOf(Isa isa) { return KernelsOf(isa).winograd; }

}  // namespace savedmodel::engine
