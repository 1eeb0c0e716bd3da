// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/isa_kernels.h"

#include "engine/kernels/attention_kernels.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/image_kernels.h"
#include "engine/kernels/isa.h"
#include "engine/kernels/vector_kernels.h"
#include "engine/kernels/winograd_kernels.h"

namespace savedmodel::engine {

// Defined by simd/isa_kernels.cc, which is compiled for each instruction set.
namespace generic {
extern const IsaKernels kKernels;
extern const GemmKernel kInt8GemmKernel;
}  // namespace generic
#ifdef __x86_64__
namespace avx2 {
extern const IsaKernels kKernels;
extern const GemmKernel kInt8GemmKernel;
}  // namespace avx2
namespace avx512 {
extern const IsaKernels kKernels;
}
namespace avx512bf16 {
extern const GemmKernel kGemmKernel;
}
namespace avx512bw {
extern const GemmKernel kInt8GemmKernel;
}
namespace avx512vnni {
extern const GemmKernel kInt8GemmKernel;
}
namespace avxvnni {
extern const GemmKernel kInt8GemmKernel;
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

const std::vector<NamedGemmKernel>& Int8GemmKernels() {
  static const auto* const kernels = [] {
    auto* found = new std::vector<NamedGemmKernel>{{"generic", &generic::kInt8GemmKernel}};
#ifdef __x86_64__
    if (BestIsa() != Isa::kGeneric) {
      found->push_back({"avx2", &avx2::kInt8GemmKernel});
      if (__builtin_cpu_supports("avxvnni")) found->push_back({"avxvnni", &avxvnni::kInt8GemmKernel});
    }
    if (BestIsa() == Isa::kAvx512 && __builtin_cpu_supports("avx512bw")) {
      found->push_back({"avx512bw", &avx512bw::kInt8GemmKernel});
      if (__builtin_cpu_supports("avx512vnni"))
        found->push_back({"avx512vnni", &avx512vnni::kInt8GemmKernel});
    }
#endif
    return found;
  }();
  return *kernels;
}

const GemmKernel* Int8GemmKernel() { return Int8GemmKernels().back().kernel; }

const AttentionKernels& AttentionKernelsOf(Isa isa) { return KernelsOf(isa).attention; }
const GemmKernel& GemmKernelOf(Isa isa) { return KernelsOf(isa).gemm; }
const ImageKernels& ImageKernelsOf(Isa isa) { return KernelsOf(isa).images; }
const VectorKernels& VectorKernelsOf(Isa isa) { return KernelsOf(isa).vectors; }
const WinogradKernels& WinogradKernelsOf(Isa isa) { return KernelsOf(isa).winograd; }

}  // namespace savedmodel::engine
