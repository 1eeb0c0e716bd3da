// SPDX-License-Identifier: Apache-2.0
// TensorFlow Serving's REST formats <-> tensors: rows ("instances", "predictions") and columns ("inputs",
// "outputs"). Bytes are {"b64": "..."}. Errors are savedmodel::Error in the client's terms.
#pragma once

#include <string>

#include "dispatcher.h"
#include "json_text.h"
#include "serving.pb.h"

namespace server {

// The inputs in a body with "instances" or "inputs".
Tensors InputsFromJson(const Specs& specs, const Json& body);
// {"predictions": rows} if the request had rows, else {"outputs": columns}.
std::string OutputsToJson(const Job& job, const Tensors& results, bool rows);

// "examples" and "context": objects of features.
tensorflow::serving::Input ExamplesFromJson(const Json& body);

std::string ToJson(const tensorflow::serving::ClassificationResult& result);
std::string ToJson(const tensorflow::serving::RegressionResult& result);

}  // namespace server
