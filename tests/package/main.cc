// SPDX-License-Identifier: Apache-2.0
// Usage: consumer MODEL. Feeds ones to the default signature and prints the results.
#include <savedmodel/savedmodel.h>

#include <algorithm>
#include <iostream>
#include <vector>

#if __has_include("tensorflow/core/public/session.h")
#error "the package must not lead to TensorFlow's headers"
#endif

namespace {

savedmodel::Tensor Ones(const savedmodel::TensorSpec& spec) {
  std::vector<std::int64_t> dims = spec.shape.value_or(std::vector<std::int64_t>{});
  for (std::int64_t& dim : dims) dim = dim < 0 ? 3 : dim;
  auto tensor = savedmodel::Tensor::Empty(spec.dtype, savedmodel::Shape(dims));
  std::fill_n(tensor.mutable_data<float>(), tensor.num_elements(), 1.0F);
  return tensor;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: consumer MODEL\n";
    return 2;
  }
  try {
    const auto model = savedmodel::Model::Load(argv[1]);
    const auto function = model.function(model.default_signature());
    std::vector<savedmodel::Tensor> inputs;
    for (const savedmodel::TensorSpec& spec : function.inputs()) inputs.push_back(Ones(spec));
    const std::vector<savedmodel::Tensor> results = function.Run(inputs);
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::cout << function.outputs()[i].key << " =";
      for (std::size_t j = 0; j < results[i].num_elements(); ++j) {
        std::cout << " " << results[i].data<float>()[j];
      }
      std::cout << "\n";
    }
  } catch (const savedmodel::Error& error) {
    std::cout << savedmodel::CodeName(error.code()) << ": " << error.what() << "\n";
    return 1;
  }
  return 0;
}
