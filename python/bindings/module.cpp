// SPDX-License-Identifier: Apache-2.0
// Registers all parts of savedmodel._core.
#include "bindings.h"

PYBIND11_MODULE(_core_of_main_interpreter, m) {
  using namespace savedmodel::python;
  m.doc() = "The native part of savedmodel; use the package's own names.";
  bind_errors(m);
  bind_runtime(m);
  bind_spec(m);
  bind_edit(m);
  bind_inspection(m);
  bind_trace(m);
  bind_async(m);
  bind_signature(m);
  bind_model(m);
  bind_warmup(m);
  bind_watch(m);
  bind_batcher(m);
}

// In a sub-interpreter, pybind11 would deadlock and numpy does not work.
PyMODINIT_FUNC PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError,
                    "savedmodel can't be imported in a sub-interpreter: its state, and TensorFlow's, belong "
                    "to the whole process; import it in the main interpreter, or start a process");
    return nullptr;
  }
  return PyInit__core_of_main_interpreter();
}
