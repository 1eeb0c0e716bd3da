// SPDX-License-Identifier: Apache-2.0
#include "runtime.h"

#include <savedmodel/runtime.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <string>

#include "bindings.h"
#include "errors.h"
#include "gil.h"
#include "numpy.h"
#include "savedmodel/model.h"
#include "savedmodel/version.h"

namespace savedmodel::python {
namespace {

constexpr std::size_t kLogLimit = 1000;
constexpr double kExitSeconds = 5;

// TensorFlow logs on any thread; the next call with the GIL passes the records to Python's logging.
struct LogQueue {
  std::mutex mutex;
  std::deque<LogRecord> records;
  std::atomic<bool> any{false};
};
LogQueue& GetLogs() {
  static auto* logs = new LogQueue;
  return *logs;
}

void DeliverLogs() {
  LogQueue& logs = GetLogs();
  if (!logs.any.load(std::memory_order_acquire)) return;
  std::deque<LogRecord> records;
  {
    std::lock_guard<std::mutex> lock(logs.mutex);
    records.swap(logs.records);
    logs.any.store(false, std::memory_order_release);
  }
  static constexpr int kLevels[] = {20, 30, 40, 50};  // Python's logging levels
  const py::object logger = py::module_::import("logging").attr("getLogger")("savedmodel.tensorflow");
  for (const LogRecord& record : records) {
    const auto text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
        record.message.data(), static_cast<Py_ssize_t>(record.message.size()), "backslashreplace"));
    logger.attr("log")(kLevels[std::min(std::max(record.severity, 0), 3)], "%s:%d: %s", record.file,
                       record.line, text);
  }
}

}  // namespace

void AfterCall() {
  DropReleased();
  DeliverLogs();
}

void bind_runtime(py::module_& m) {
  WatchForInterrupts();
  SetLogHandler([](const LogRecord& record) {
    LogQueue& logs = GetLogs();
    std::lock_guard<std::mutex> lock(logs.mutex);
    if (logs.records.size() < kLogLimit) logs.records.push_back(record);
    logs.any.store(true, std::memory_order_release);
  });
  m.attr("__version__") = Version();
  m.attr("REQUIRED_TENSORFLOW") = RequiredTensorFlowVersion();
  m.def("tensorflow_version", &TensorFlowVersion);
  m.def("set_tensorflow_directory", &SetTensorFlowDirectory, py::arg("path"));
  m.def("open_tensorflow", [] {
    {
      const ReleaseGil release;
      OpenTensorFlow();
    }
    AfterCall();
  });
  // Runs last, when no Python code runs any more: stops active runs of daemon threads before their libraries
  // are unloaded.
  Py_AtExit([] {
    interpreter_gone = true;
    CancelAllRuns(kExitSeconds);
  });
}

}  // namespace savedmodel::python
