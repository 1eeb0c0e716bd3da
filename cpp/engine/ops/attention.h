// SPDX-License-Identifier: Apache-2.0
// _SavedmodelAttention: softmax(scale * query * transposed(key) + mask) * value, float32. Query, key, value
// and result are [sample, position, head, depth], or [sample, head, position, depth] where heads_first says
// so; samples and heads broadcast where `broadcasts` says so: of query and key, of these and the value. The
// mask is broadcast to [sample, head, query, key].
#pragma once

#include <array>
#include <string>

#include "tensorflow/core/framework/node_def.pb.h"

namespace savedmodel::engine {

inline constexpr char kAttentionOp[] = "_SavedmodelAttention";

struct AttentionSpec {
  std::string query, key, value;
  std::string mask;  // empty: none
  float scale = 1;
  std::array<bool, 4> heads_first{};  // of query, key, value and result
  std::array<bool, 2> broadcasts{};
};
tensorflow::NodeDef AttentionNode(const AttentionSpec& spec);

}  // namespace savedmodel::engine
