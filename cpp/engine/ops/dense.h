// SPDX-License-Identifier: Apache-2.0
// _SavedmodelDense: activation(a * b + bias + addend) over the last axis of `a`, which may have any rank;
// `b` is constant and packed at the first run. A 1x1 convolution is one as well: of an image it takes the
// pixels `strides` apart. TensorFlow's kernels spend 3 us on setting up what may take 0.1 us.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "engine/ops/epilogue.h"
#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kDenseOp[] = "_SavedmodelDense";

// `strides`: of height and width, where `a` is an image and `b` a 1x1 convolution's.
tensorflow::NodeDef DenseNode(const std::string& a, const std::string& b, bool transpose_b,
                              const std::array<std::int64_t, 2>& strides, const Epilogue& epilogue);

}  // namespace savedmodel::engine
