// SPDX-License-Identifier: Apache-2.0
// Requests that a SavedModel is warmed up with, where TensorFlow Serving looks for them, too: in a TFRecord
// file of tensorflow.serving.PredictionLog.
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

inline constexpr char kWarmupFile[] = "assets.extra/tf_serving_warmup_requests";  // below the SavedModel
inline constexpr std::size_t kMaxWarmupRecords = 1000;  // more are an error to TensorFlow Serving

// What a signature was asked.
struct WarmupRequest {
  std::string signature;
  std::map<std::string, Tensor> inputs;  // by the signature's names; none if there are `examples`
  std::vector<std::string> outputs;      // those that were asked for; empty: all
  // Serialized tf.train.Examples for the only input: what a classification or a regression has. Else empty.
  Tensor examples;
};

// The requests in each record of a SavedModel's file: none in one of a kind that no signature answers. Throws
// Error: kDataLoss for a damaged file, kUnimplemented for tensors without values.
[[nodiscard]] SAVEDMODEL_API std::vector<std::vector<WarmupRequest>> ReadWarmup(const std::string& path);

// Writes a SavedModel's file whole, a record for each request; or adds to it. Returns how many records it has
// now. Runs nothing. Throws UsageError for more than kMaxWarmupRecords, or none; Error (kFailedPrecondition)
// for a published version.
SAVEDMODEL_API std::size_t RecordWarmup(const std::string& path, const std::vector<WarmupRequest>& requests,
                                        bool append = false);

// Sends a model its recorded requests, one after the other. Returns how many records it answered: 0 without a
// file. `warnings`, if not null, gets a text for each record that is skipped. Throws Error that names the
// request: kDataLoss for a damaged file, kInvalidArgument for one that fits no signature, or what a run
// throws.
SAVEDMODEL_API std::size_t ReplayWarmup(const Model& model, std::vector<std::string>* warnings = nullptr);

// One feature of a tf.train.Example.
using Feature = std::variant<std::vector<std::int64_t>, std::vector<float>, std::vector<std::string>>;

// A serialized tf.train.Example: the value of a string input of a signature that parses examples.
[[nodiscard]] SAVEDMODEL_API std::string SerializeExample(const std::map<std::string, Feature>& features);

}  // namespace savedmodel
