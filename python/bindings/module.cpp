// SPDX-License-Identifier: Apache-2.0
// The table of contents of savedmodel._core.
#include "bindings.h"

PYBIND11_MODULE(_core, m) {
  using namespace savedmodel::python;
  m.doc() = "The native part of savedmodel; use the package's own names.";
  bind_errors(m);
  bind_runtime(m);
  bind_spec(m);
  bind_edit(m);
  bind_inspection(m);
  bind_trace(m);
  bind_signature(m);
  bind_model(m);
}
