// SPDX-License-Identifier: Apache-2.0
// Warm-up requests of a SavedModel: a TFRecord file of tensorflow.serving.PredictionLog. TensorFlow Serving
// reads the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "savedmodel/export.h"
#include "savedmodel/model.h"
#include "savedmodel/tensor.h"

namespace savedmodel {

inline constexpr char kWarmupFile[] = "assets.extra/tf_serving_warmup_requests";  // in the SavedModel
inline constexpr std::size_t kMaxWarmupRecords = 1000;  // TensorFlow Serving refuses more

// A recorded request of a signature.
struct WarmupRequest {
  std::string signature;
  std::map<std::string, Tensor> inputs;  // by the signature's names; empty if `examples` is set
  std::vector<std::string> outputs;      // the requested ones; empty: all
  // Serialized tf.train.Examples for the only input of a classification or regression; otherwise empty.
  Tensor examples;
};

// Returns the requests in each record of a SavedModel's file. A record has none if no signature answers
// requests of its type. Throws Error: kDataLoss for a damaged file, kUnimplemented for tensors without
// values.
[[nodiscard]] SAVEDMODEL_API std::vector<std::vector<WarmupRequest>> ReadWarmup(const std::string& path);

// Writes a SavedModel's file with one record per request, or appends to it. Runs nothing. Returns the new
// number of records. Throws UsageError for none, or more than kMaxWarmupRecords. Throws Error
// (kFailedPrecondition) for a published version.
SAVEDMODEL_API std::size_t RecordWarmup(const std::string& path, const std::vector<WarmupRequest>& requests,
                                        bool append = false);

// Runs the recorded requests of a model, one after the other. Returns the number of records that were run; 0
// without a file. Adds a text to `warnings`, if not null, for each skipped record. Throws Error that names
// the request: kDataLoss for a damaged file, kInvalidArgument if no signature takes it, or the error of the
// run.
SAVEDMODEL_API std::size_t ReplayWarmup(const Model& model, std::vector<std::string>* warnings = nullptr);

// One feature of a tf.train.Example.
using Feature = std::variant<std::vector<std::int64_t>, std::vector<float>, std::vector<std::string>>;

// Returns a serialized tf.train.Example, for a signature that parses examples from a string input.
[[nodiscard]] SAVEDMODEL_API std::string SerializeExample(const std::map<std::string, Feature>& features);

}  // namespace savedmodel
