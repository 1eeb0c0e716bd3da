// SPDX-License-Identifier: Apache-2.0
// Products in float32.
#include "engine/kernels/simd/gemm.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

struct Floats {
  static void AddProduct(const float* x, Vec w, Vec* sum) { *sum += *x * w; }
  static void AddSum(Vec other, Vec* sum) { *sum += other; }
  static Vec Value(const GemmStrip& /*strip*/, const float* /*a*/, int /*v*/, Vec sum) { return sum; }
};

}  // namespace

extern const GemmKernel kGemmKernel;
const GemmKernel kGemmKernel = {kLanes, kPanelVectors, kTileRows, 1, nullptr, Strip<Floats>, nullptr};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
