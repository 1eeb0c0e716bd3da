// SPDX-License-Identifier: Apache-2.0
#include "serving_examples.h"

#include <algorithm>

namespace server {
using savedmodel::DType, savedmodel::Tensor;
namespace ts = tensorflow::serving;

namespace {

// The keys of TensorFlow Serving's signatures.
constexpr char kClasses[] = "classes", kScores[] = "scores", kOutputs[] = "outputs";

bool Has(const Specs& specs, const std::string& key) {
  return std::any_of(specs.begin(), specs.end(), [&](const auto& spec) { return spec.key == key; });
}

// The result with this key, which has to have `examples` rows; null if the job does not ask for it.
const Tensor* ResultOf(const Job& job, const Tensors& results, const char* key, DType dtype,
                       std::size_t examples) {
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (job.Key(i) != key) continue;
    const Tensor& result = results[job.outputs[i]];
    const bool rows = result.shape().begin() != result.shape().end() &&
                      static_cast<std::size_t>(*result.shape().begin()) == examples;
    if (result.dtype() != dtype || !rows)
      Refuse("output '", key, "' is ", savedmodel::DTypeName(result.dtype()), " ", result.shape().ToString(),
             ", not ", savedmodel::DTypeName(dtype), " with a row for each of ", examples, " examples");
    return &result;
  }
  return nullptr;
}

}  // namespace

void CheckMethod(const Endpoint& endpoint, const char* method) {
  if (endpoint.method == method) return;
  Refuse("signature '", endpoint.signature, "' is of the method '", endpoint.method, "', not '", method, "'");
}

std::size_t CountExamples(const ts::Input& input) {
  return static_cast<std::size_t>(input.has_example_list()
                                      ? input.example_list().examples_size()
                                      : input.example_list_with_context().examples_size());
}

Tensors ExampleInputs(const Specs& specs, const ts::Input& input) {
  if (CountExamples(input) == 0) Refuse("the request has no examples");
  if (specs.size() != 1 || specs[0].dtype != DType::kString)
    Refuse("the signature does not take serialized tf.train.Examples as its only input");
  std::vector<std::string> serialized;
  if (input.has_example_list()) {
    for (const auto& example : input.example_list().examples())
      serialized.push_back(example.SerializeAsString());
  } else {
    // One serialized message behind another is read as both merged; the later features win.
    const auto& list = input.example_list_with_context();
    const std::string context = list.context().SerializeAsString();
    for (const auto& example : list.examples()) serialized.push_back(context + example.SerializeAsString());
  }
  return {Tensor::Strings({static_cast<std::int64_t>(serialized.size())}, serialized)};
}

std::vector<std::string> OutputsOf(const Endpoint& endpoint, const char* method) {
  const Specs& specs = endpoint.function.outputs();
  std::vector<std::string> keys;
  for (const char* key : {kClasses, kScores}) {
    if (method == std::string_view(kClassify) && Has(specs, key)) keys.emplace_back(key);
  }
  if (method == std::string_view(kRegress) && Has(specs, kOutputs)) keys.emplace_back(kOutputs);
  if (!keys.empty()) return keys;
  Refuse("signature '", endpoint.signature, "' has no output ",
         method == std::string_view(kRegress) ? "'outputs'" : "'classes' or 'scores'");
}

void Classes(const Job& job, const Tensors& results, std::size_t examples, ts::ClassificationResult* to) {
  const Tensor* labels = ResultOf(job, results, kClasses, DType::kString, examples);
  const Tensor* scores = ResultOf(job, results, kScores, DType::kFloat32, examples);
  const Tensor& one = labels != nullptr ? *labels : *scores;
  if (labels != nullptr && scores != nullptr && labels->num_elements() != scores->num_elements())
    Refuse("there are ", labels->num_elements(), " classes, and ", scores->num_elements(), " scores");
  const std::size_t classes = one.num_elements() / examples;
  for (std::size_t i = 0; i < examples; ++i) {
    auto* const row = to->add_classifications();
    for (std::size_t j = i * classes; j < (i + 1) * classes; ++j) {
      auto* const found = row->add_classes();
      if (labels != nullptr) found->set_label(std::string(labels->string(j)));
      if (scores != nullptr) found->set_score(scores->data<float>()[j]);
    }
  }
}

void Regressions(const Job& job, const Tensors& results, std::size_t examples, ts::RegressionResult* to) {
  const Tensor& values = *ResultOf(job, results, kOutputs, DType::kFloat32, examples);
  if (values.num_elements() != examples)
    Refuse("output '", kOutputs, "' has ", values.num_elements(), " values for ", examples, " examples");
  for (const float value : values.values<float>()) to->add_regressions()->set_value(value);
}

}  // namespace server
