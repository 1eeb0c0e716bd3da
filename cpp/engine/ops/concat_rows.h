// SPDX-License-Identifier: Apache-2.0
// Matrices side by side, of which some are rows of tables: what embeddings and numbers of a row become before
// the first dense layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {

inline constexpr char kConcatRowsOp[] = "_SavedmodelConcatRows";

// A float32 matrix, or for each row of the result `per_row` rows of a table, one after the other.
struct RowsPart {
  std::string values;        // the matrix or the table
  std::string indices;       // of the table's rows; empty: `values` is the matrix
  std::int64_t column = -1;  // of `indices`, a matrix with one row for each of the result; -1: all in order
  std::int64_t per_row = 1;  // with `column` -1; 0: one, and the indices must be a vector
  bool counts_from_end = false;  // indices below zero do
};

// `type` is that of all indices.
tensorflow::NodeDef ConcatRowsNode(const std::vector<RowsPart>& parts, tensorflow::DataType type);

}  // namespace savedmodel::engine
