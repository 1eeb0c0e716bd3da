// SPDX-License-Identifier: Apache-2.0
// Python's arguments of a signature -> the dense tensors of a Function, and its results -> a dict.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "savedmodel/model.h"

namespace savedmodel::python {

namespace py = pybind11;

// `size` default-made elements; up to N of them without an allocation.
template <typename T, std::size_t N>
class InlineArray {
 public:
  explicit InlineArray(std::size_t size) {
    if (size > N) heap_ = std::make_unique<T[]>(size);
  }
  T* data() { return heap_ ? heap_.get() : inline_; }
  const T* data() const { return heap_ ? heap_.get() : inline_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }

 private:
  T inline_[N]{};
  std::unique_ptr<T[]> heap_;
};

// One input or output of a signature and where its parts stand in the flat order.
struct Slot {
  PyObject* key;  // interned, never freed
  const TensorSpec* spec;
  std::size_t first;
  std::size_t count;
};

std::vector<Slot> MakeSlots(const std::vector<TensorSpec>& specs);

// Slot of `name`, or nullptr. Requires GIL.
const Slot* FindSlot(const std::vector<Slot>& slots, PyObject* name);

// Puts what was given for each slot (nullptr: left out) into dense tensors. Raises TypeError for a
// missing one. Requires GIL.
void ConvertInputs(const std::vector<Slot>& slots, PyObject* const* given, const Function& function,
                   const std::string& label, Tensor* tensors, std::vector<std::string>* why = nullptr);

// Arrays for a slot's results: one, or a SparseTensor / RaggedTensor / tuple of them.
py::object ConvertOutput(const Slot& slot, const Tensor* tensors);

// The run options of a `timeout` in seconds or None, and of serialized RunOptions.
struct CallOptions {
  RunOptions run;
  bool given = false;
};
void SetTimeout(PyObject* timeout, CallOptions* options);

// "signature 's' takes x: float32 [?, 3], y: ..."
std::string DescribeInputs(const std::string& label, const std::vector<Slot>& slots);

}  // namespace savedmodel::python
