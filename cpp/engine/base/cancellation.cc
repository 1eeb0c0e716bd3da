// SPDX-License-Identifier: Apache-2.0
#include "engine/base/cancellation.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "savedmodel/error.h"

namespace savedmodel::engine {
namespace {
using Clock = std::chrono::steady_clock;
}  // namespace

LinkedCancellation::LinkedCancellation(Cancellation* source, tensorflow::CancellationManager* run)
    : source_(source) {
  if (source_ != nullptr) id_ = source_->OnCancel([run] { run->StartCancel(); });
}

LinkedCancellation::~LinkedCancellation() {
  if (source_ != nullptr) source_->Forget(id_);
}

// The deadlines of the process. Never destroyed, like its thread.
struct Deadline::Watch {
  std::mutex mutex;  // held while runs are cancelled
  std::condition_variable earlier;
  Queue deadlines;
  bool running = false;

  static Watch& Get() {
    static auto* watch = new Watch;
    return *watch;
  }
  void Run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      if (deadlines.empty()) {
        earlier.wait(lock);
        continue;
      }
      const auto first = deadlines.begin();
      if (first->first > Clock::now()) {
        earlier.wait_until(lock, Clock::time_point(first->first));
        continue;
      }
      Deadline* deadline = first->second;
      deadlines.erase(first);
      deadline->passed_ = true;
      deadline->run_->StartCancel();
    }
  }
};

Deadline::Deadline(double seconds, tensorflow::CancellationManager* run) : run_(run) {
  constexpr double kLongest = 1e9;
  const auto length = std::chrono::duration<double>(std::min(seconds, kLongest));
  Watch& watch = Watch::Get();
  const std::lock_guard<std::mutex> lock(watch.mutex);
  if (!watch.running) {
    try {
      std::thread([&watch] { watch.Run(); }).detach();
    } catch (const std::system_error& error) {
      throw Error(Code::kResourceExhausted,
                  std::string("can't start the thread that watches timeouts: ") + error.what());
    }
    watch.running = true;
  }
  place_ = watch.deadlines.emplace(Clock::now() + std::chrono::duration_cast<Clock::duration>(length), this);
  if (place_ == watch.deadlines.begin()) watch.earlier.notify_one();
}

Deadline::~Deadline() {
  Watch& watch = Watch::Get();
  const std::lock_guard<std::mutex> lock(watch.mutex);
  if (!passed_) watch.deadlines.erase(place_);
}

bool Deadline::passed() const {
  const std::lock_guard<std::mutex> lock(Watch::Get().mutex);
  return passed_;
}

}  // namespace savedmodel::engine
