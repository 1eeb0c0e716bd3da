// SPDX-License-Identifier: Apache-2.0
// The state behind savedmodel.Signature. Everything here requires the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "out.h"
#include "savedmodel/model.h"
#include "trust.h"

namespace savedmodel::python {

// A function for one set of outputs, ready to run.
struct Bound {
  std::vector<TensorSpec> specs;
  std::vector<Slot> slots;
  Function function;
  std::atomic<std::size_t> quick_bytes{0};  // runs with inputs of at most so many bytes are quick
  std::atomic<std::size_t> once_quick{0};   // were quick once: now and then it is tried again
  std::atomic<unsigned> tries{0};
  std::atomic<int> slow_runs{0};  // of these, one after the other
  std::atomic<int> in_flight{0};  // in the pool
  Trust trust;

  // True for few of the runs that were quick once, and were not of late.
  bool TriesAgain(std::size_t bytes);
  // Whether such a run is quick.
  void Learn(std::size_t bytes, std::chrono::steady_clock::duration time);
};

struct State {
  Model model;
  savedmodel::Signature info;
  std::optional<std::size_t> trace;  // the trace of the saved function in `info`; else `info` is a signature
  std::string label;
  std::vector<Slot> inputs;
  py::object input_specs;  // mappingproxy
  py::object output_specs;
  // By output keys; {} means all. Bound on first use, so a broken signature does not affect others.
  std::map<std::vector<std::string>, std::unique_ptr<Bound>> bound;
  Bound* all = nullptr;
};

struct Object {
  PyObject_HEAD vectorcallfunc vectorcall;
  State* state;
};

inline State& StateOf(PyObject* self) { return *reinterpret_cast<Object*>(self)->state; }

template <typename Body>
PyObject* Guarded(const Body& body) {
  try {
    return body().release().ptr();
  } catch (...) {
    SetPythonError(std::current_exception());
    return nullptr;
  }
}

// Made on first use; no keys mean all outputs.
Bound& BindOutputs(State& state, const std::vector<std::string>& keys);
// The names in `outputs`, which may be null. Raises TypeError or ValueError.
std::vector<std::string> OutputKeys(const State& state, PyObject* outputs);
// The results of a run, as arrays or in those of `outs`.
py::object Results(const State& state, const Bound& bound, Tensor* outputs, const Outs& outs);

// Methods for runs that nobody waits for: submit, run_async, and what they call.
extern PyMethodDef async_methods[4];

}  // namespace savedmodel::python
