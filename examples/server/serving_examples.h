// SPDX-License-Identifier: Apache-2.0
// The common part of Classify, Regress and MultiInference: tf.Examples in, classes or values out. Which
// inputs and outputs a signature needs for that is TensorFlow Serving's convention.
#pragma once

#include <string>
#include <vector>

#include "dispatcher.h"
#include "serving.pb.h"

namespace server {

inline constexpr char kClassify[] = "tensorflow/serving/classify";
inline constexpr char kRegress[] = "tensorflow/serving/regress";

// Throws Error (kInvalidArgument) if the signature is not of this method.
void CheckMethod(const Endpoint& endpoint, const char* method);
// The one input that takes serialized examples, with those of `input`.
Tensors ExampleInputs(const Specs& specs, const tensorflow::serving::Input& input);
std::size_t CountExamples(const tensorflow::serving::Input& input);
// The outputs that a job for the method asks for.
std::vector<std::string> OutputsOf(const Endpoint& endpoint, const char* method);

// `results` are those of `job`, made for OutputsOf; one row for each example.
void Classes(const Job& job, const Tensors& results, std::size_t examples,
             tensorflow::serving::ClassificationResult* to);
void Regressions(const Job& job, const Tensors& results, std::size_t examples,
                 tensorflow::serving::RegressionResult* to);

}  // namespace server
