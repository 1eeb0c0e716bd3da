// SPDX-License-Identifier: Apache-2.0
// The caller's arrays for results. Everything here requires the GIL.
#pragma once

#include "numpy.h"

namespace savedmodel::python {

// Checks that `array` can take `spec`'s results; raises TypeError or ValueError.
void CheckOut(PyObject* array, const TensorSpec& spec, const std::string& label);
// True if the two arrays have an element in common.
bool Overlap(PyObject* a, PyObject* b);
// Copies a result into `array`. Raises ValueError if the shapes differ.
void CopyOut(const Tensor& result, PyObject* array, const TensorSpec& spec, const std::string& label);

}  // namespace savedmodel::python
