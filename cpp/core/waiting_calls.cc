// SPDX-License-Identifier: Apache-2.0
#include "core/waiting_calls.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "savedmodel/error.h"

namespace savedmodel::internal {
namespace {

using Clock = std::chrono::steady_clock;

struct Watcher {
  struct Call {
    Clock::time_point until;
    std::weak_ptr<WaitingCall> call;
  };
  std::mutex mutex;
  std::condition_variable earlier;
  std::map<std::uint64_t, Call> calls;
  std::set<std::pair<Clock::time_point, std::uint64_t>> order;
  bool running = false;

  void Run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      if (order.empty()) {
        earlier.wait(lock);
        continue;
      }
      const auto [until, id] = *order.begin();
      if (until > Clock::now()) {
        // wait_until can't take the largest time point.
        if (until == Clock::time_point::max()) {
          earlier.wait(lock);
        } else {
          earlier.wait_until(lock, until);
        }
        continue;
      }
      const auto found = calls.find(id);
      std::shared_ptr<WaitingCall> call = found->second.call.lock();
      order.erase(order.begin());
      calls.erase(found);
      lock.unlock();
      if (call != nullptr) call->EndEarly();
      call = nullptr;
      lock.lock();
    }
  }
};

// Never destroyed: its thread lasts as long as the process.
Watcher& GetWatcher() {
  static auto* watcher = new Watcher;
  return *watcher;
}

}  // namespace

std::uint64_t NewWaitingId() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

void Watch(std::uint64_t id, std::weak_ptr<WaitingCall> call, Clock::time_point until) {
  Watcher& watcher = GetWatcher();
  const std::lock_guard<std::mutex> lock(watcher.mutex);
  if (!watcher.running) {
    try {
      std::thread([&watcher] { watcher.Run(); }).detach();
    } catch (const std::system_error& error) {
      throw Error(Code::kResourceExhausted,
                  std::string("can't start the thread that watches timeouts: ") + error.what());
    }
    watcher.running = true;
  }
  const auto placed = watcher.order.emplace(until, id).first;
  try {
    watcher.calls.emplace(id, Watcher::Call{until, std::move(call)});
  } catch (...) {
    watcher.order.erase(placed);
    throw;
  }
  if (placed == watcher.order.begin()) watcher.earlier.notify_one();
}

void Hurry(std::uint64_t id) {
  Watcher& watcher = GetWatcher();
  const std::lock_guard<std::mutex> lock(watcher.mutex);
  const auto found = watcher.calls.find(id);
  if (found == watcher.calls.end()) return;
  auto place = watcher.order.extract({found->second.until, id});
  found->second.until = Clock::time_point::min();
  place.value().first = found->second.until;
  watcher.order.insert(std::move(place));
  watcher.earlier.notify_one();
}

void Unwatch(std::uint64_t id) {
  Watcher& watcher = GetWatcher();
  const std::lock_guard<std::mutex> lock(watcher.mutex);
  const auto found = watcher.calls.find(id);
  if (found == watcher.calls.end()) return;
  watcher.order.erase({found->second.until, id});
  watcher.calls.erase(found);
}

}  // namespace savedmodel::internal
