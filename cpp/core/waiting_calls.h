// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Calls of RunAsync that wait for a thread, and may end before they get one. One thread watches
// over all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

namespace savedmodel::internal {

class WaitingCall {
 public:
  virtual ~WaitingCall() = default;
  // In the watching thread; the call may have begun meanwhile.
  virtual void EndEarly() noexcept = 0;
};

std::uint64_t NewWaitingId();
// Ends `call` at `until`. Throws Error if there is no thread for it.
void Watch(std::uint64_t id, std::weak_ptr<WaitingCall> call, std::chrono::steady_clock::time_point until);
// Ends it now, if it is watched.
void Hurry(std::uint64_t id);
void Unwatch(std::uint64_t id);

}  // namespace savedmodel::internal
