// SPDX-License-Identifier: Apache-2.0
#include "engine/base/logging.h"

#include <mutex>

#include "absl/log/globals.h"
#include "absl/log/internal/globals.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/match.h"
#include "core/engine.h"

namespace savedmodel::engine {
namespace {

class Sink : public absl::LogSink {
 public:
  explicit Sink(void (*log)(const LogRecord&)) : log_(log) {}
  void Send(const absl::LogEntry& entry) override {
    // The search for a GPU: that there is none is no error.
    const bool search = absl::StrContains(entry.text_message(), "failed call to cuInit");
    log_({search ? 0 : static_cast<int>(entry.log_severity()), std::string(entry.source_basename()),
          entry.source_line(), std::string(entry.text_message())});
  }

 private:
  void (*log_)(const LogRecord&);
};

bool stderr_is_quiet = false;

// Loads may run concurrently: the first sets the level, the last restores it.
struct QuietState {
  std::mutex mutex;
  int scopes = 0;
  absl::LogSeverityAtLeast before = absl::LogSeverityAtLeast::kInfo;
  bool raised = false;
};
QuietState& Quiet() {
  static auto* state = new QuietState;
  return *state;
}

}  // namespace

void ForwardLogs(void (*log)(const LogRecord&), int stderr_level) {
  static Sink* sink = [log] {
    auto* made = new Sink(log);  // outlives every thread that logs
    absl::AddLogSink(made);
    return made;
  }();
  (void)sink;
  if (stderr_level == 0) return;
  stderr_is_quiet = true;
  absl::SetStderrThreshold(static_cast<absl::LogSeverityAtLeast>(stderr_level));
  // Stops absl's message "All log messages before absl::InitializeLog() is called are written to STDERR".
  absl::log_internal::SetInitialized();
}

QuietInfo::QuietInfo() {
  QuietState& quiet = Quiet();
  std::lock_guard<std::mutex> lock(quiet.mutex);
  if (quiet.scopes++ > 0) return;
  quiet.raised = !stderr_is_quiet && internal::StderrLevel() == internal::kFatalOnly;
  if (!quiet.raised) return;
  // Until absl is initialised, it ignores the threshold and writes everything to stderr.
  if (!absl::log_internal::IsInitialized()) {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfo);
    absl::log_internal::SetInitialized();
  }
  quiet.before = absl::StderrThreshold();
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kFatal);
}

QuietInfo::~QuietInfo() {
  QuietState& quiet = Quiet();
  std::lock_guard<std::mutex> lock(quiet.mutex);
  if (--quiet.scopes == 0 && quiet.raised) absl::SetStderrThreshold(quiet.before);
}

}  // namespace savedmodel::engine
