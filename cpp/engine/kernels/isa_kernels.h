// SPDX-License-Identifier: Apache-2.0
// The kernels of one instruction set: a table with one row for each family. No inline functions: simd/
// includes this.
#pragma once

namespace savedmodel::engine {

namespace rnn {
struct Routines;
}

enum class Isa;
struct AttentionKernels;
struct GemmKernel;
struct ImageKernels;
struct VectorKernels;
struct WinogradKernels;

struct IsaKernels {
  const AttentionKernels& attention;
  const GemmKernel& gemm;
  const ImageKernels& images;
  const rnn::Routines& rnn;
  const VectorKernels& vectors;
  const WinogradKernels& winograd;
};

// The machine must support `isa`.
const IsaKernels& KernelsOf(Isa isa);

}  // namespace savedmodel::engine
