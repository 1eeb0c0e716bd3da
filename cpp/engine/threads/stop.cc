// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/stop.h"

#include "engine/threads/wait.h"

namespace savedmodel::engine {
namespace {
constexpr std::int64_t kNsBetweenChecks = 50'000'000;
}  // namespace

thread_local RunningCall* RunningCall::of_thread_ = nullptr;

bool RunningCall::Ask() {
  if (interrupted()) return true;
  const std::int64_t now = NowNs();
  if (now < next_ns_) return false;
  const bool first = next_ns_ == 0;  // most runs are over before the second
  next_ns_ = now + kNsBetweenChecks;
  if (first || !check_()) return false;
  interrupted_.store(true, std::memory_order_relaxed);
  return true;
}

}  // namespace savedmodel::engine
