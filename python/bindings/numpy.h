// SPDX-License-Identifier: Apache-2.0
// numpy <-> Tensor; the only place. Everything here requires the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "savedmodel/signature.h"
#include "savedmodel/tensor.h"

namespace savedmodel::python {

namespace py = pybind11;

// A tensor for `spec` from what a caller passed: an array is borrowed if its memory is laid out as
// TensorFlow's, else copied once. With `caller_holds`, the tensor is for one run, for the length of which
// the caller holds a reference to `value`. `label` begins error messages; `why`, if given, is set to the
// reason of a copy, or to an empty string. Raises TypeError or ValueError.
Tensor ToTensor(PyObject* value, const TensorSpec& spec, const std::string& label, bool caller_holds,
                std::string* why = nullptr);

// A view on the tensor's memory, which it keeps alive; object arrays of bytes for strings.
py::object ToNumpy(Tensor tensor);

Shape ShapeOf(PyObject* array);
// "float32 [2, 3]".
std::string Describe(const py::handle& array);
// Raises ValueError, which begins with `where`, for a masked array with something masked.
void RefuseMasked(PyObject* array, const std::string& where);

// `object` for strings, the storage type for quantised ones.
py::object NumpyDType(DType dtype);

// Holds a reference, to be let go of by any thread. Requires GIL.
std::shared_ptr<const void> Keep(PyObject* object);

// Drops what TensorFlow's threads let go of while they had no GIL.
void DropReleased();

}  // namespace savedmodel::python
