// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/tensor.h"

namespace savedmodel {

// The results of a run, in the order of Function::outputs(). A temporary returns its tensors by value, so
// that views can't outlive them: `Tensor y = f.Run({x})[0];`.
class Results : public std::vector<Tensor> {
 public:
  using std::vector<Tensor>::vector;
  Results(std::vector<Tensor> tensors) : std::vector<Tensor>(std::move(tensors)) {}

  Tensor& operator[](std::size_t i) & { return vector::operator[](i); }
  const Tensor& operator[](std::size_t i) const& { return vector::operator[](i); }
  Tensor operator[](std::size_t i) && { return std::move(vector::operator[](i)); }
  Tensor& at(std::size_t i) & { return vector::at(i); }
  const Tensor& at(std::size_t i) const& { return vector::at(i); }
  Tensor at(std::size_t i) && { return std::move(vector::at(i)); }
  Tensor& front() & { return vector::front(); }
  const Tensor& front() const& { return vector::front(); }
  Tensor front() && { return std::move(vector::front()); }
  Tensor& back() & { return vector::back(); }
  const Tensor& back() const& { return vector::back(); }
  Tensor back() && { return std::move(vector::back()); }
};

// The results by key.
class NamedResults : public std::map<std::string, Tensor> {
 public:
  using std::map<std::string, Tensor>::map;
  NamedResults(std::map<std::string, Tensor> tensors) : std::map<std::string, Tensor>(std::move(tensors)) {}

  Tensor& operator[](const std::string& key) & { return map::operator[](key); }
  Tensor operator[](const std::string& key) && { return std::move(map::operator[](key)); }
  Tensor& at(const std::string& key) & { return map::at(key); }
  const Tensor& at(const std::string& key) const& { return map::at(key); }
  Tensor at(const std::string& key) && { return std::move(map::at(key)); }
};

}  // namespace savedmodel
