// SPDX-License-Identifier: Apache-2.0
namespace {
constexpr int kLanes = 8;
constexpr int kMostRows = 3;
}  // namespace
#include "engine/kernels/vector_kernels.inc"

namespace savedmodel::engine {

extern const VectorKernels kAvx2Kernels;
const VectorKernels kAvx2Kernels = {"avx2", kLanes, kPanelVectors, Dense, ActivateAll, LayerNorm, Softmax};

}  // namespace savedmodel::engine
