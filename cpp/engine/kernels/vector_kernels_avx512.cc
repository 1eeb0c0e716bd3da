// SPDX-License-Identifier: Apache-2.0
namespace {
constexpr int kLanes = 16;
constexpr int kMostRows = 6;
}  // namespace
#include "engine/kernels/vector_kernels.inc"

namespace savedmodel::engine {

extern const VectorKernels kAvx512Kernels;
const VectorKernels kAvx512Kernels = {"avx512",    kLanes,    kPanelVectors, Dense,
                                      ActivateAll, LayerNorm, Softmax};

}  // namespace savedmodel::engine
