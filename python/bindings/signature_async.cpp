// SPDX-License-Identifier: Apache-2.0
// Signature.submit and run_async: runs that nobody waits for. The futures are Python's
// (savedmodel/_async.py).
#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <thread>
#include <utility>

#include "async.h"
#include "gil.h"
#include "numpy.h"
#include "run_arguments.h"
#include "runtime.h"
#include "signature.h"

namespace savedmodel::python {
namespace {

using Clock = std::chrono::steady_clock;

// An event loop waits for a shorter run, because a thread of the pool would tell it of the end no sooner.
constexpr std::chrono::microseconds kQuick{200}, kFarTooSlow{5000};
constexpr int kSlowRuns = 3;  // one alone may have lost its core
constexpr unsigned kTries = 64;

struct InFlight {
  std::shared_ptr<const void> signature;
  Bound* bound;
  ~InFlight() { --bound->in_flight; }
};

// The arguments of a run that nobody waits for.
struct Unwaited {
  Unwaited(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names)
      : object(self),
        state(StateOf(self)),
        arguments(state.label, args, count, names),
        given(state.label, state.inputs) {
    if (arguments.out != nullptr || arguments.trace != nullptr) {
      throw py::type_error(std::string("submit() and run_async() take no argument '") +
                           (arguments.out != nullptr ? "out" : "trace") + "'");
    }
    bound = &BindOutputs(state, OutputKeys(state, arguments.outputs));
    if (arguments.inputs != nullptr) given.Dict(arguments.inputs);
    bool wants_trace = false;
    options = arguments.ReadOptions(&wants_trace);
  }

  // Starts the run. `done(error, results)` is called in a thread of the pool.
  py::object Start(py::object done) {
    std::vector<Tensor> inputs(bound->function.inputs().size());
    ConvertInputs(state.inputs, given.data(), bound->function, state.label, inputs.data(), nullptr, false);
    const int turns = (bound->in_flight++ + static_cast<int>(std::thread::hardware_concurrency())) /
                      std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
    const auto in_flight = std::make_shared<InFlight>(InFlight{Keep(object), bound});
    const auto make = [in_flight, &state = state, bound = bound, bytes = Bytes(inputs), turns,
                       begin = Clock::now()](std::vector<Tensor> results) {
      bound->Learn(bytes, (Clock::now() - begin) / std::max(turns, 1));  // those before it took their time
      return Results(state, *bound, results.data(), Outs(0));
    };
    const auto start = [&function = bound->function, &inputs](Function::Callback end, RunOptions run) {
      function.RunAsync(std::move(inputs), std::move(end), std::move(run));
    };
    return StartRun(start, std::move(options.run), make, std::move(done));
  }

  // Runs here and now if that is quick; else returns null.
  py::object RunIfQuick() {
    if (bound->quick_bytes == 0) return {};
    InlineArray<Tensor, 4> inputs(bound->function.inputs().size());
    ConvertInputs(state.inputs, given.data(), bound->function, state.label, inputs.data());
    const std::size_t bytes = Bytes(inputs);
    if (bytes > bound->quick_bytes && !bound->TriesAgain(bytes)) return {};
    InlineArray<Tensor, 4> outputs(bound->function.outputs().size());
    py::object results;
    std::exception_ptr error;
    const Clock::time_point begin = Clock::now();
    try {
      {
        const ReleaseGil release;
        bound->function.Run(inputs, outputs, options.given ? &options.run : nullptr);
      }
      results = Results(state, *bound, outputs.data(), Outs(0));
      AfterCall();
    } catch (...) {
      error = std::current_exception();
    }
    const Clock::time_point end = Clock::now();
    if (bytes > bound->quick_bytes && end - begin > kFarTooSlow) bound->trust.FarTooSlow();  // a try
    bound->Learn(bytes, end - begin);
    return Ready(std::move(results), std::move(error), end);
  }

  // At least 1, so that 0 stands for runs that are not known.
  template <typename Tensors>
  static std::size_t Bytes(const Tensors& tensors) {
    std::size_t bytes = 1;
    for (std::size_t i = 0; i < tensors.size(); ++i) bytes += tensors[i].byte_size();
    return bytes;
  }

  PyObject* object;
  State& state;
  const RunArguments arguments;
  Given given;
  Bound* bound = nullptr;
  CallOptions options;
};

PyObject* Start(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    if (count < 1) throw py::type_error("_start() needs a callback");
    return Unwaited(self, args + 1, count - 1, names).Start(py::reinterpret_borrow<py::object>(args[0]));
  });
}

PyObject* RunIfQuick(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    py::object ready = Unwaited(self, args, count, names).RunIfQuick();
    return ready ? ready : py::none();
  });
}

// Calls a function of savedmodel._async with `self` and these arguments. Python code of a daemon thread may
// end the thread while the interpreter ends: no frame below it may have anything to destroy.
PyObject* CallPython(PyObject* function, PyObject* self, PyObject* const* args, Py_ssize_t count,
                     PyObject* names) {
  constexpr Py_ssize_t kMax = 8;
  const Py_ssize_t all = count + (names == nullptr ? 0 : PyTuple_GET_SIZE(names));
  if (function == nullptr || all > kMax) {
    if (function != nullptr) PyErr_SetString(PyExc_TypeError, "too many arguments");
    return nullptr;
  }
  PyObject* arguments[kMax + 1] = {self};
  std::copy_n(args, all, arguments + 1);
  return PyObject_Vectorcall(function, arguments, static_cast<std::size_t>(count) + 1, names);
}

// Borrowed for ever; null with an exception set.
PyObject* AsyncFunction(const char* name) {
  PyObject* const module = PyImport_ImportModule("savedmodel._async");
  return module == nullptr ? nullptr : PyObject_GetAttrString(module, name);
}

PyObject* RunAsync(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  static PyObject* const function = AsyncFunction("run_async");
  return CallPython(function, self, args, count, names);
}

PyObject* Submit(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  static PyObject* const function = AsyncFunction("submit");
  return CallPython(function, self, args, count, names);
}

}  // namespace

void Bound::Learn(std::size_t bytes, Clock::duration time) {
  if (time < kQuick) {
    slow_runs = 0;
    if (bytes > quick_bytes && !trust.Ends()) {
      quick_bytes = once_quick = bytes;
    } else {
      trust.Quick();
    }
  } else if (bytes <= quick_bytes) {
    const bool ends = time > kFarTooSlow && trust.FarTooSlow();
    if (!ends && ++slow_runs < kSlowRuns) return;
    slow_runs = 0;
    quick_bytes = bytes / 2;
  } else if (time < kFarTooSlow) {
    trust.Quick();  // in the pool a quick run may wait for others
  }
}

bool Bound::TriesAgain(std::size_t bytes) {
  return bytes <= once_quick && !trust.Ends() && ++tries % kTries == 0;
}

PyMethodDef async_methods[4] = {
    {"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Submit)),
     METH_FASTCALL | METH_KEYWORDS,
     "submit($self, inputs=None, *, outputs=None, timeout=None, options=None)\n--\n\n"
     "Start a run and return a concurrent.futures.Future of its results.\n\n"
     "It runs in a thread of the model's pool. timeout: seconds from now, with the time in the queue. The\n"
     "future's cancel() stops the run. Don't change arrays that are borrowed before the run has ended.\n"
     "Raises as run does for arguments that can't be converted; the future has the other errors."},
    {"run_async", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&RunAsync)),
     METH_FASTCALL | METH_KEYWORDS,
     "run_async($self, inputs=None, *, outputs=None, timeout=None, options=None)\n--\n\n"
     "A coroutine of a run's results, for asyncio's event loops. The run begins when it is awaited.\n\n"
     "As submit. Runs that were seen to take less than 200 us run at once, in this thread. Cancelling\n"
     "the task that awaits it stops the run."},
    {"_start", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Start)),
     METH_FASTCALL | METH_KEYWORDS, "Start a run; done(error, results) is called in a thread of the pool."},
    {"_run_if_quick", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&RunIfQuick)),
     METH_FASTCALL | METH_KEYWORDS,
     "Run here and now, and return what can be awaited; None if that is not known to be quick."}};

}  // namespace savedmodel::python
