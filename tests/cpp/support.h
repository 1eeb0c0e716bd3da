// SPDX-License-Identifier: Apache-2.0
// Helpers of the tests: paths of the models, tensors in one line, the error of a call.
#pragma once

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/savedmodel.h"

namespace savedmodel::testing {

inline std::string ModelPath(const std::string& name) {
  const char* chosen = std::getenv("SAVEDMODEL_TEST_MODELS");
  return std::string(chosen != nullptr ? chosen : SAVEDMODEL_TEST_MODELS) + "/" + name;
}

// For bitwise comparison with a session's run of the graph as it was loaded.
inline LoadOptions AsLoaded() {
  LoadOptions options;
  options.optimize = Optimize::kNone;
  return options;
}

inline Model LoadModel(const std::string& name, const LoadOptions& options = {}) {
  return Model::Load(ModelPath(name), options);
}

using Tensors = std::vector<Tensor>;

inline Tensor Floats(const std::vector<float>& values, const Shape& shape) {
  return Tensor::Copy(DType::kFloat32, shape, values.data());
}
inline Tensor Floats(const std::vector<float>& values) {
  return Floats(values, Shape{static_cast<std::int64_t>(values.size())});
}
inline Tensor Int(std::int32_t value) { return Tensor::Copy(DType::kInt32, Shape{}, &value); }

template <typename T = float>
std::vector<T> Values(const Tensor& tensor) {
  const T* data = tensor.data<T>();
  return std::vector<T>(data, data + tensor.num_elements());
}

// `count` numbers between -1 and 1 that depend on the seed.
inline std::vector<float> Numbers(std::size_t count, std::size_t seed = 1) {
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<float>((i * 37 + seed * 101) % 199) / 99.5F - 1.0F;
  }
  return numbers;
}

// Memory `offset` bytes behind a multiple of kAlignment, for tensors that borrow it.
class Buffer {
 public:
  explicit Buffer(const std::vector<float>& values, std::size_t offset = 0)
      : block_(values.size() * sizeof(float) + offset + kAlignment) {
    const auto address = reinterpret_cast<std::uintptr_t>(block_.data());
    data_ = block_.data() + (kAlignment - address % kAlignment) % kAlignment + offset;
    std::memcpy(data_, values.data(), values.size() * sizeof(float));
  }
  float* data() { return reinterpret_cast<float*>(data_); }

 private:
  std::vector<unsigned char> block_;
  unsigned char* data_;
};

inline bool Overlap(const Tensor& a, const Tensor& b) {
  const auto* a_begin = static_cast<const char*>(a.data());
  const auto* b_begin = static_cast<const char*>(b.data());
  return a_begin < b_begin + b.byte_size() && b_begin < a_begin + a.byte_size();
}

// The error from `call`; the test fails if there is none.
template <typename E = Error, typename F>
E ThrownBy(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const E& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  if constexpr (std::is_constructible_v<E, const char*>) {
    return E("nothing was thrown");
  } else {
    return E({}, "nothing was thrown");
  }
}

template <typename F>
UsageError MistakeIn(F&& call) {
  return ThrownBy<UsageError>(std::forward<F>(call));
}

inline ::testing::AssertionResult Has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

inline ::testing::AssertionResult Mentions(const std::exception& error,
                                           std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) {
    if (auto has = Has(error.what(), part); !has) return has;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace savedmodel::testing
