// SPDX-License-Identifier: Apache-2.0
// The GIL and the interpreter's end.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace savedmodel::python {

// The thread that ends the interpreter, once it does.
inline std::atomic<std::thread::id> exiting_thread{};

// Releases the GIL for its scope. Requires GIL.
//
// At interpreter exit only daemon threads are left: those stay inside for good, for a thread that asks for
// the GIL of an interpreter that is gone would be unwound through our frames.
class ReleaseGil {
 public:
  ReleaseGil() : state_(PyEval_SaveThread()) {}
  ~ReleaseGil() noexcept(false) {
    const std::thread::id exiting = exiting_thread.load(std::memory_order_acquire);
    if (exiting != std::thread::id() && exiting != std::this_thread::get_id()) Park();
    Unwound guard;
    PyEval_RestoreThread(state_);
    guard.armed = false;
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  [[noreturn]] static void Park() {
    for (;;) pause();
  }
  // Before Python 3.14 a late PyEval_RestoreThread ends the thread by unwinding it.
  struct Unwound {
    bool armed = true;
    ~Unwound() {
      if (armed) Park();
    }
  };

  PyThreadState* state_;
};

}  // namespace savedmodel::python
