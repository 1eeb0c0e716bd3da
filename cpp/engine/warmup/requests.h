// SPDX-License-Identifier: Apache-2.0
// tensorflow.serving.PredictionLog, and the requests in it: tensorflow_serving/apis/*.proto.
#pragma once

#include <string>
#include <vector>

#include "savedmodel/warmup.h"

namespace savedmodel::engine::warmup {

// The requests of a PredictionLog: none if it is of a kind that no signature answers. Throws Error
// (kDataLoss, kUnimplemented).
std::vector<WarmupRequest> ParseRequests(const std::string& record);

// A PredictionLog of a PredictRequest; without `examples`.
std::string SerializeRequest(const WarmupRequest& request);

}  // namespace savedmodel::engine::warmup
