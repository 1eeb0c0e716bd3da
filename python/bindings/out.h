// SPDX-License-Identifier: Apache-2.0
// The caller's arrays for results. Everything here requires the GIL.
#pragma once

#include <string>
#include <vector>

#include "arguments.h"
#include "numpy.h"

namespace savedmodel::python {

// Checks that `array` can take `spec`'s results; raises TypeError or ValueError.
void CheckOut(PyObject* array, const TensorSpec& spec, const std::string& label);
// True if the two arrays have an element in common.
bool Overlap(PyObject* a, PyObject* b);
// Copies a result into `array`. Raises ValueError if the shapes differ.
void CopyOut(const Tensor& result, PyObject* array, const TensorSpec& spec, const std::string& label);

// The arrays of `out` by output slot, held for the run.
class Outs {
 public:
  explicit Outs(std::size_t slots) : arrays_(slots) {}
  PyObject* operator[](std::size_t slot) const { return any_ ? arrays_[slot].ptr() : nullptr; }

  // Raises TypeError, ValueError or KeyError.
  void Check(const std::string& label, const std::vector<Slot>& slots, PyObject* out);

 private:
  InlineArray<py::object, 4> arrays_;
  bool any_ = false;
};

}  // namespace savedmodel::python
