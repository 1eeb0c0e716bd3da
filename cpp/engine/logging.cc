// SPDX-License-Identifier: Apache-2.0
#include "engine/logging.h"

#include <cstdlib>
#include <mutex>

#include "absl/log/globals.h"
#include "absl/log/internal/globals.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"

namespace savedmodel::engine {
namespace {

class Sink : public absl::LogSink {
 public:
  explicit Sink(void (*log)(const LogRecord&)) : log_(log) {}
  void Send(const absl::LogEntry& entry) override {
    log_({static_cast<int>(entry.log_severity()), std::string(entry.source_basename()), entry.source_line(),
          std::string(entry.text_message())});
  }

 private:
  void (*log_)(const LogRecord&);
};

bool stderr_is_quiet = false;

// Loads may run side by side: the first of them sets the level, the last puts it back.
struct QuietState {
  std::mutex mutex;
  int scopes = 0;
  absl::LogSeverityAtLeast before = absl::LogSeverityAtLeast::kInfo;
};
QuietState& Quiet() {
  static auto* state = new QuietState;
  return *state;
}

}  // namespace

void ForwardLogs(void (*log)(const LogRecord&), bool quiet) {
  static Sink* sink = [log] {
    auto* made = new Sink(log);  // outlives every thread that logs
    absl::AddLogSink(made);
    return made;
  }();
  (void)sink;
  if (!quiet) return;
  stderr_is_quiet = true;
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kFatal);
  // Ends absl's "All log messages before absl::InitializeLog() is called are written to STDERR".
  absl::log_internal::SetInitialized();
}

QuietInfo::QuietInfo() {
  QuietState& quiet = Quiet();
  std::lock_guard<std::mutex> lock(quiet.mutex);
  if (quiet.scopes++ > 0) return;
  quiet.before = absl::MinLogLevel();
  // Until absl is told that it is initialised, which is for its owner to do, its threshold for stderr is
  // not looked at.
  const bool chosen = std::getenv("TF_CPP_MIN_LOG_LEVEL") != nullptr;
  if (!stderr_is_quiet && !chosen && quiet.before < absl::LogSeverityAtLeast::kWarning) {
    absl::SetMinLogLevel(absl::LogSeverityAtLeast::kWarning);
  }
}

QuietInfo::~QuietInfo() {
  QuietState& quiet = Quiet();
  std::lock_guard<std::mutex> lock(quiet.mutex);
  if (--quiet.scopes == 0) absl::SetMinLogLevel(quiet.before);
}

}  // namespace savedmodel::engine
