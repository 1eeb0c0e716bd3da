// SPDX-License-Identifier: Apache-2.0
// Runs that Python does not wait for: what is delivered when one ends, and results that are there already.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "savedmodel/function.h"

namespace savedmodel::python {

namespace py = pybind11;

// Makes the results of a run that succeeded; called with the GIL.
using MakeResults = std::function<py::object(std::vector<Tensor> results)>;

// Calls `start` without the GIL to start a run with these options. When that has ended, `done(error,
// results)` is called exactly once, in a thread of the pool; one of the two is None. Returns a RunHandle, of
// which cancel() stops the run. Requires GIL.
using StartFn = std::function<void(Function::Callback done, RunOptions options)>;
py::object StartRun(const StartFn& start, RunOptions options, MakeResults make_results, py::object done);

// As an exception object. Requires GIL.
py::object AsException(std::exception_ptr error);
std::exception_ptr Copy(const Error& error);

// True once the interpreter ends, when no run starts any more.
bool RunsEnd();
// Stops the requests of all batchers. Requires GIL.
void StopBatches();

// An awaitable of a run that is over: `error` if it is set, else `results`. Yields to the event loop if this
// thread has not for a while, so that a loop of such awaits does not keep others waiting. Requires GIL.
py::object Ready(py::object results, std::exception_ptr error, std::chrono::steady_clock::time_point now);

}  // namespace savedmodel::python
