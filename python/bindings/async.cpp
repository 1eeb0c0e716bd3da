// SPDX-License-Identifier: Apache-2.0
#include "async.h"

#include <atomic>
#include <stdexcept>
#include <utility>

#include "bindings.h"
#include "errors.h"
#include "gil.h"
#include "numpy.h"
#include "runtime.h"

namespace savedmodel::python {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kYieldEvery = std::chrono::microseconds(500);

struct RunHandle {
  std::shared_ptr<Cancellation> cancellation;
};

struct Delivery {
  MakeResults make_results;
  PyObject* done;

  void Deliver(const Error* error, std::vector<Tensor> results) {
    if (InterpreterEnds()) return;  // nobody waits any more
    const AcquireGil gil;
    const auto call = py::reinterpret_steal<py::object>(std::exchange(done, nullptr));
    py::object failure = py::none(), values = py::none();
    try {
      if (error != nullptr) {
        failure = AsException(Copy(*error));
      } else {
        values = make_results(std::move(results));
      }
    } catch (...) {
      failure = AsException(std::current_exception());
    }
    make_results = nullptr;
    // Python code may lose the GIL for good while the interpreter ends: nothing may be destroyed then.
    ParkWhereUnwound guard;
    PyObject* const result = PyObject_CallFunctionObjArgs(call.ptr(), failure.ptr(), values.ptr(),
                                                          static_cast<PyObject*>(nullptr));
    if (result == nullptr) PyErr_WriteUnraisable(call.ptr());
    Py_XDECREF(result);
    try {
      AfterCall();
    } catch (py::error_already_set& error_of_logging) {
      error_of_logging.discard_as_unraisable("savedmodel's log records");
    }
    guard.armed = false;
  }
};

// --- Ready ----------------------------------------------------------------------------------------------

struct ReadyObject {
  PyObject_HEAD PyObject* result;
  PyObject* error;
  bool yields;
};

ReadyObject* AsReady(PyObject* self) { return reinterpret_cast<ReadyObject*>(self); }

PyObject* Self(PyObject* self) {
  Py_INCREF(self);
  return self;
}

PyObject* Next(PyObject* self) {
  ReadyObject* const ready = AsReady(self);
  if (std::exchange(ready->yields, false)) Py_RETURN_NONE;
  if (ready->error != nullptr) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(ready->error)), ready->error);
  } else {
    PyErr_SetObject(PyExc_StopIteration, ready->result);
  }
  return nullptr;
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(AsReady(self)->result);
  Py_XDECREF(AsReady(self)->error);
  type->tp_free(self);
  Py_DECREF(type);
}

PyTypeObject* ReadyType() {
  static PyTypeObject* const type = [] {
    static PyType_Slot slots[] = {{Py_am_await, reinterpret_cast<void*>(&Self)},
                                  {Py_tp_iter, reinterpret_cast<void*>(&Self)},
                                  {Py_tp_iternext, reinterpret_cast<void*>(&Next)},
                                  {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
                                  {0, nullptr}};
    static PyType_Spec spec = {"savedmodel._core.Ready", sizeof(ReadyObject), 0, Py_TPFLAGS_DEFAULT, slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  }();
  if (type == nullptr) throw py::error_already_set();
  return type;
}

bool IsTimeToYield(Clock::time_point now) {
  thread_local Clock::time_point last;
  if (now - last < kYieldEvery) return false;
  last = now;
  return true;
}

std::atomic<bool> ends{false};

// Before the interpreter ends: no run starts any more, and those in flight are stopped.
void StopRuns() {
  ends = true;
  StopBatches();
  const py::dict modules = py::module_::import("sys").attr("modules");
  if (modules.contains("savedmodel._async"))
    py::object(modules["savedmodel._async"]).attr("in_flight").attr("stop")();
}

}  // namespace

py::object AsException(std::exception_ptr error) {
  SetPythonError(std::move(error));
  const py::error_already_set caught;
  return caught.value();
}

std::exception_ptr Copy(const Error& error) {
  if (const auto* usage = dynamic_cast<const UsageError*>(&error)) return std::make_exception_ptr(*usage);
  if (const auto* memory = dynamic_cast<const OutOfMemory*>(&error)) return std::make_exception_ptr(*memory);
  return std::make_exception_ptr(error);
}

bool RunsEnd() { return ends; }

py::object StartRun(const StartFn& start, RunOptions options, MakeResults make_results, py::object done) {
  if (ends) throw std::runtime_error("a run can't start while the interpreter ends");
  auto cancellation = std::make_shared<Cancellation>();
  options.cancellation = cancellation;
  const auto delivery = std::make_shared<Delivery>(Delivery{std::move(make_results), done.release().ptr()});
  {
    const ReleaseGil release;
    start([delivery](const Error* error,
                     std::vector<Tensor> results) { delivery->Deliver(error, std::move(results)); },
          std::move(options));
  }
  AfterCall();
  return py::cast(RunHandle{std::move(cancellation)});
}

py::object Ready(py::object results, std::exception_ptr error, Clock::time_point now) {
  PyTypeObject* const type = ReadyType();
  auto object = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
  if (!object) throw py::error_already_set();
  ReadyObject* const ready = AsReady(object.ptr());
  if (error != nullptr) {
    ready->error = AsException(std::move(error)).release().ptr();
  } else {
    ready->result = results.release().ptr();
  }
  ready->yields = IsTimeToYield(now);
  return object;
}

void bind_async(py::module_& m) {
  py::module_::import("atexit").attr("register")(py::cpp_function(&StopRuns));
  py::class_<RunHandle>(m, "RunHandle", "A run that was started.")
      .def(
          "cancel", [](const RunHandle& handle) { WithoutGil([&] { handle.cancellation->Cancel(); }); },
          "Stop the run: it ends with CancelledError, unless it has ended already.");
}

}  // namespace savedmodel::python
