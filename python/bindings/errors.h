// SPDX-License-Identifier: Apache-2.0
// Converts Error to a Python exception; the only place that does.
#pragma once

#include <exception>

namespace savedmodel::python {

// Sets the Python exception for a C++ one. Requires GIL.
void SetPythonError(std::exception_ptr error);

}  // namespace savedmodel::python
