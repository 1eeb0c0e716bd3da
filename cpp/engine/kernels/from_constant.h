// SPDX-License-Identifier: Apache-2.0
// What a kernel makes of a constant input, once.
#pragma once

#include <memory>
#include <mutex>

#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

template <typename T>
class FromConstant {
 public:
  // make() gives a shared_ptr<const T>; it is asked again for an input that is not the first one.
  template <typename Make>
  std::shared_ptr<const T> Get(const tensorflow::Tensor& input, const Make& make) {
    std::call_once(once_, [&] {
      made_ = make();
      from_ = input;  // keeps the address from being used again
    });
    return from_.data() == input.data() ? made_ : make();
  }

 private:
  std::once_flag once_;
  std::shared_ptr<const T> made_;
  tensorflow::Tensor from_;
};

}  // namespace savedmodel::engine
