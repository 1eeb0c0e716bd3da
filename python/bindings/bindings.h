// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

namespace savedmodel::python {

namespace py = pybind11;

void bind_errors(py::module_& m);
void bind_runtime(py::module_& m);
void bind_spec(py::module_& m);
void bind_edit(py::module_& m);
void bind_inspection(py::module_& m);
void bind_trace(py::module_& m);
void bind_async(py::module_& m);
void bind_signature(py::module_& m);
void bind_model(py::module_& m);
void bind_warmup(py::module_& m);
void bind_watch(py::module_& m);
void bind_batcher(py::module_& m);

}  // namespace savedmodel::python
