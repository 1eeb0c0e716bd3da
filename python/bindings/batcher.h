// SPDX-License-Identifier: Apache-2.0
// The state behind savedmodel.Batcher. Everything here requires the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <map>
#include <memory>
#include <vector>

#include "run_arguments.h"
#include "savedmodel/batcher.h"
#include "signature.h"

namespace savedmodel::python {

class BatchLoop;

// Its loops have it as well, until the object is freed.
struct BatcherState {
  Batcher batcher;
  bool waits = false;  // max_delay was given
  State signature;     // without a model, which would keep a version loaded
  Bound bound;         // without a function for a watched model
  std::map<PyObject*, std::shared_ptr<BatchLoop>> loops;  // by event loop
};

struct BatcherObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  std::shared_ptr<BatcherState>* state;
};

inline const std::shared_ptr<BatcherState>& BatcherOf(PyObject* self) {
  return *reinterpret_cast<BatcherObject*>(self)->state;
}

// The arguments of run, submit and run_async.
struct BatchArguments {
  BatchArguments(BatcherState& state, PyObject* const* args, Py_ssize_t count, PyObject* names);
  // To tensors that hold their arrays.
  std::vector<Tensor> Inputs() const;

  BatcherState& state;
  const RunArguments arguments;
  Given given;
  CallOptions options;
};

// Runs a request, and waits for it.
py::object RunRequest(const BatcherState& state, const Given& given, const RunOptions* options);

// Methods for requests that nobody waits for.
extern PyMethodDef batcher_async_methods[3];

}  // namespace savedmodel::python
