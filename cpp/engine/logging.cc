// SPDX-License-Identifier: Apache-2.0
#include "engine/logging.h"

#include "absl/base/log_severity.h"
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

}  // namespace

void ForwardLogs(void (*log)(const LogRecord&), bool quiet) {
  static Sink* sink = [log] {
    auto* made = new Sink(log);  // outlives every thread that logs
    absl::AddLogSink(made);
    return made;
  }();
  (void)sink;
  if (!quiet) return;
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kFatal);
  // Ends absl's "All log messages before absl::InitializeLog() is called are written to STDERR".
  absl::log_internal::SetInitialized();
}

}  // namespace savedmodel::engine
