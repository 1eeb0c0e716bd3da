// SPDX-License-Identifier: Apache-2.0
// The GIL and the interpreter's shutdown.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>

namespace savedmodel::python {

// True from the interpreter's shutdown on.
inline std::atomic<bool> interpreter_gone{false};
inline bool InterpreterEnds() {
#if PY_VERSION_HEX >= 0x030D0000
  return interpreter_gone.load(std::memory_order_acquire) || Py_IsFinalizing();
#else
  return interpreter_gone.load(std::memory_order_acquire) || _Py_IsFinalizing();
#endif
}

// Set while this thread is inside a ReleaseGil.
inline thread_local bool gil_is_released = false;
// In the thread that ends the interpreter: it may take the GIL until the very end.
inline thread_local bool ends_interpreter = false;

[[noreturn]] inline void Park() {
  for (;;) pause();
}

// Before Python 3.14 who asks for the GIL too late is ended by unwinding the thread.
struct ParkWhereUnwound {
  bool armed = true;
  ~ParkWhereUnwound() {
    if (armed) Park();
  }
};

// Releases the GIL for its scope. Requires GIL.
//
// A daemon thread that returns during the interpreter's shutdown stays inside forever: asking for the GIL
// would unwind it through C++ frames. The thread that shuts down holds the GIL on the way in.
class ReleaseGil {
 public:
  ReleaseGil() : ends_it_(InterpreterEnds()), state_(PyEval_SaveThread()) {
    gil_is_released = true;
    ends_interpreter = ends_it_;
  }
  ~ReleaseGil() noexcept(false) {
    if (!ends_it_ && InterpreterEnds()) Park();
    ParkWhereUnwound guard;
    PyEval_RestoreThread(state_);
    guard.armed = false;
    gil_is_released = false;
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  bool ends_it_;
  PyThreadState* state_;
};

// Takes the GIL for its scope, inside of a ReleaseGil of the same thread, which may hold no lock that a
// thread with the GIL asks for. Parks as ReleaseGil does.
class AcquireGil {
 public:
  AcquireGil() {
    if (!ends_interpreter && InterpreterEnds()) Park();
    ParkWhereUnwound guard;
    state_ = PyGILState_Ensure();
    guard.armed = false;
    gil_is_released = false;
  }
  ~AcquireGil() {
    PyGILState_Release(state_);
    gil_is_released = true;
  }
  AcquireGil(const AcquireGil&) = delete;
  AcquireGil& operator=(const AcquireGil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace savedmodel::python
