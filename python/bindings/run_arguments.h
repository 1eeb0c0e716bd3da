// SPDX-License-Identifier: Apache-2.0
// The arguments of Signature.run. Everything here requires the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "arguments.h"

namespace savedmodel::python {

// nullptr if omitted or None; `inputs` and `out` are dicts. References are borrowed, except converted ones.
struct RunArguments {
  // Reads the arguments of a METH_FASTCALL | METH_KEYWORDS method; `label` names the signature. Raises
  // TypeError.
  RunArguments(const std::string& label, PyObject* const* args, Py_ssize_t count, PyObject* names);

  // Returns the options, and sets `trace`, which holds the default, if it was given.
  CallOptions ReadOptions(bool* trace) const;

  PyObject* inputs = nullptr;
  PyObject* outputs = nullptr;
  PyObject* out = nullptr;
  PyObject* timeout = nullptr;
  PyObject* trace = nullptr;
  PyObject* options = nullptr;

 private:
  void Set(PyObject* name, PyObject* value);
  py::object converted_inputs_;
  py::object converted_out_;
};

}  // namespace savedmodel::python
