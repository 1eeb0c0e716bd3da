// SPDX-License-Identifier: Apache-2.0
// Products in float32.
#include "engine/kernels/simd/gemm.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

struct Floats {
  static void AddProduct(const float* x, Vec w, Vec* sum) { *sum += *x * w; }
};

}  // namespace

extern const GemmKernel kGemmKernel;
const GemmKernel kGemmKernel = {kLanes, kPanelVectors, kTileRows, 1, nullptr, Strip<Floats>};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
