// SPDX-License-Identifier: Apache-2.0
// Converts between numpy arrays and Tensor; the only place that does. Everything here requires the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"

namespace savedmodel::python {

namespace py = pybind11;

// Converts a caller's value to a tensor for `spec`. An array is borrowed if its memory layout is
// TensorFlow's, else copied once. With `caller_holds`, the caller holds a reference to `value` for the length
// of one run. `label` begins error messages; `why`, if given, is set to the reason of a copy, or to an empty
// string. Raises TypeError or ValueError.
Tensor ToTensor(PyObject* value, const TensorSpec& spec, const std::string& label, bool caller_holds,
                std::string* why = nullptr);

// A view on the tensor's memory, which it keeps alive; for strings, an object array of bytes.
py::object ToNumpy(Tensor tensor);

Shape ShapeOf(PyObject* array);
// "float32 [2, 3]".
std::string Describe(const py::handle& array);
// Raises ValueError, beginning with `where`, for a masked array with masked elements.
void RefuseMasked(PyObject* array, const std::string& where);

// `object` for strings, the storage type for quantised ones.
py::object NumpyDType(DType dtype);

// Holds a reference that any thread may release. Requires GIL.
std::shared_ptr<const void> Keep(PyObject* object);

// Releases objects that TensorFlow's threads dropped without the GIL.
void DropReleased();

}  // namespace savedmodel::python
