// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <atomic>
#include <iostream>

namespace server {
namespace {

std::atomic<bool> json_log{false};

}  // namespace

void UseJsonLog(bool json) { json_log = json; }

void Log(Level level, const std::string& message, const nlohmann::json& fields) {
  std::string line = message;
  if (json_log) {
    nlohmann::ordered_json entry;
    entry["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
    entry["level"] = level == Level::kError ? "error" : "info";
    entry["message"] = message;
    for (const auto& [key, value] : fields.items()) entry[key] = value;
    // Names and messages may have bytes that are no UTF-8.
    line = entry.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  line += '\n';
  std::cerr.write(line.data(), static_cast<std::streamsize>(line.size())).flush();
}

}  // namespace server
