// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Calls of RunAsync that wait for a thread, and may end before they get one. One thread watches all
// of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

namespace savedmodel::internal {

class WaitingCall {
 public:
  virtual ~WaitingCall() = default;
  // Called in the watching thread; the call may have begun meanwhile.
  virtual void EndEarly() noexcept = 0;
};

std::uint64_t NewWaitingId();
// Ends `call` at `until`. Throws Error if its thread can't be started.
void Watch(std::uint64_t id, std::weak_ptr<WaitingCall> call, std::chrono::steady_clock::time_point until);
// Ends the call now, if it is watched.
void Hurry(std::uint64_t id);
void Unwatch(std::uint64_t id);

}  // namespace savedmodel::internal
