// SPDX-License-Identifier: Apache-2.0
// Reads and writes tensorflow.serving.PredictionLog and its requests (tensorflow_serving/apis/*.proto).
#pragma once

#include <string>
#include <vector>

#include "savedmodel/warmup.h"

namespace savedmodel::engine::warmup {

// Returns the requests of a PredictionLog; none if no signature answers requests of its type. Throws Error
// (kDataLoss, kUnimplemented).
std::vector<WarmupRequest> ParseRequests(const std::string& record);

// Returns a serialized PredictionLog with a PredictRequest. Ignores `examples`.
std::string SerializeRequest(const WarmupRequest& request);

}  // namespace savedmodel::engine::warmup
