// SPDX-License-Identifier: Apache-2.0
// Calls a model of two float32 inputs: calls MODEL COUNT. Callgrind counts inside of Function::Run only.
#include <cstdlib>
#include <iostream>

#include "savedmodel/savedmodel.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: calls MODEL COUNT\n", 2;
  savedmodel::LoadOptions options;
  options.threads = 1;
  const savedmodel::Model model = savedmodel::Model::Load(argv[1], options);
  const savedmodel::Function function = model.function(model.default_signature());
  alignas(savedmodel::kAlignment) const float one[1] = {1.0F};
  const auto wrapped = [&] { return savedmodel::Tensor::Wrap(savedmodel::DType::kFloat32, {1}, one, [] {}); };
  const savedmodel::Tensor inputs[] = {wrapped(), wrapped()};
  savedmodel::Tensor outputs[1];
  for (int left = std::atoi(argv[2]); left > 0; --left) function.Run(inputs, outputs);
  std::cout << outputs[0].data<float>()[0] << "\n";
  return 0;
}
