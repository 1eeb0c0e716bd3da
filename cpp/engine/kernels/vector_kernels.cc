// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/vector_kernels.h"

#include <algorithm>
#include <new>

#include "engine/kernels/isa.h"

namespace savedmodel::engine {

SAVEDMODEL_DECLARE_PER_ISA(VectorKernels, kVectorKernels)

const VectorKernels& VectorKernelsOf(Isa isa) { return SAVEDMODEL_OF_ISA(isa, kVectorKernels); }

namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

PackedWeights::PackedWeights(const VectorKernels& kernels, const float* weights, bool transposed,
                             std::int64_t depth, std::int64_t columns) {
  const std::int64_t lanes = kernels.lanes;
  const std::int64_t padded = (columns + lanes - 1) / lanes * lanes;
  const std::int64_t size = std::max<std::int64_t>(padded * depth, 1);
  data_ = static_cast<float*>(::operator new[](static_cast<std::size_t>(size) * sizeof(float), kAlignment));
  float* packed = data_;
  const std::int64_t panel = lanes * kernels.panel_vectors;
  for (std::int64_t first = 0; first < padded; first += panel) {
    const std::int64_t width = std::min(panel, padded - first);
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t j = first; j < first + width; ++j) {
        *packed++ = j >= columns ? 0.0F : transposed ? weights[j * depth + k] : weights[k * columns + j];
      }
    }
  }
}

PackedWeights::~PackedWeights() { ::operator delete[](data_, kAlignment); }

const float* PackedWeights::data() const { return data_; }

}  // namespace savedmodel::engine
