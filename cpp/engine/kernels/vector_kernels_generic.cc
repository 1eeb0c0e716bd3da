// SPDX-License-Identifier: Apache-2.0
namespace {
constexpr int kLanes = 4;
constexpr int kMostRows = 3;
}  // namespace
#include "engine/kernels/vector_kernels.inc"

namespace savedmodel::engine {

extern const VectorKernels kGenericKernels;
const VectorKernels kGenericKernels = {"generic",   kLanes,    kPanelVectors, Dense,
                                       ActivateAll, LayerNorm, Softmax};

}  // namespace savedmodel::engine
