// SPDX-License-Identifier: Apache-2.0
// Ctrl-C during runs of the main thread.
#include <savedmodel/interrupt.h>

#include "bindings.h"
#include "gil.h"
#include "runtime.h"

namespace savedmodel::python {
namespace {

bool IsDefaultHandler() {
  try {
    const py::object signal = py::module_::import("signal");
    return signal.attr("getsignal")(signal.attr("SIGINT")).is(signal.attr("default_int_handler"));
  } catch (const py::error_already_set&) {
    return false;
  }
}

// Called within a run of the main thread: true if Ctrl-C was pressed and Python's own handler is to raise
// KeyboardInterrupt. Other handlers wait for the end of the run, as they may use its model.
bool IsInterrupted() {
  if (InterpreterEnds()) return false;
  const PyGILState_STATE state = PyGILState_Ensure();
  bool interrupted = PyOS_InterruptOccurred() != 0;
  if (interrupted) {
    interrupted = IsDefaultHandler();
    PyErr_SetInterrupt();  // the check has cleared it; set it last, as any Python code may call the handler
  }
  PyGILState_Release(state);
  return interrupted;
}

}  // namespace

void WatchForInterrupts() {
  const py::object threading = py::module_::import("threading");
  if (threading.attr("current_thread")().is(threading.attr("main_thread")())) {
    SetInterruptCheck(&IsInterrupted);
  }
}

}  // namespace savedmodel::python
