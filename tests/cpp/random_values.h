// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace savedmodel::engine {

// Normally distributed; the same for the same seed.
inline std::vector<float> Random(std::int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) value = normal(generator);
  return result;
}

}  // namespace savedmodel::engine
