// SPDX-License-Identifier: Apache-2.0
#include "core/exit.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/model_state.h"
#include "core/runtime.h"
#include "core/with_errors.h"

namespace savedmodel {
namespace internal {
namespace {

constexpr std::chrono::seconds kLongest(5);
// Nearly one per function: static variables are made early.
constexpr int kMaxHandlers = 256;

// All models of the process. Never destroyed.
struct Registry {
  std::mutex mutex;
  std::set<ModelState*> models;
};
Registry& GetRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

std::atomic<std::uint32_t> generation{0};  // of the handlers; a forked child has nothing to stop
std::atomic<bool> exiting{false};
std::atomic<std::thread::id> exits;  // the thread that exits

void AtExit(int status) {
  if (generation != ForkGeneration() || exiting.exchange(true)) return;
  exits = std::this_thread::get_id();
  try {
    if (CancelAllRuns(kLongest)) return;
  } catch (const Error&) {  // out of memory
  }
  // Runs that could not be stopped would use unloaded libraries, so the process ends here.
  if (ftrylockfile(stdout) == 0) fflush_unlocked(stdout);
  _exit(status);
}

std::vector<std::shared_ptr<ModelState>> AliveModels() {
  std::vector<std::shared_ptr<ModelState>> alive;
  const std::lock_guard<std::mutex> lock(GetRegistry().mutex);
  alive.reserve(
      GetRegistry().models.size());  // a model destroyed here, by a failed push_back, would wait for the lock
  for (ModelState* model : GetRegistry().models) {
    if (model->fork_generation != ForkGeneration()) continue;
    if (auto one = model->weak_from_this().lock()) alive.push_back(std::move(one));
  }
  return alive;
}

}  // namespace

void Enlist(ModelState* model) {
  const std::lock_guard<std::mutex> lock(GetRegistry().mutex);
  GetRegistry().models.insert(model);
}

void Strike(ModelState* model) {
  const std::lock_guard<std::mutex> lock(GetRegistry().mutex);
  GetRegistry().models.erase(model);
}

void StopRunsAtExit() {
  static std::atomic<int> handlers{0};
  generation = ForkGeneration();
  if (handlers.fetch_add(1, std::memory_order_relaxed) >= kMaxHandlers) {
    handlers = kMaxHandlers;
    return;
  }
#ifdef __GLIBC__
  on_exit([](int status, void*) { AtExit(status); }, nullptr);
#else
  std::atexit([] { AtExit(EXIT_FAILURE); });
#endif
}

void CheckNotExiting() {
  HoldAtExit();
  if (exiting.load(std::memory_order_acquire)) throw Error(Code::kCancelled, "the process is exiting");
}

void HoldAtExit() {
  if (!exiting.load(std::memory_order_acquire) || exits.load() == std::this_thread::get_id()) return;
  std::this_thread::sleep_for(kLongest);
}

}  // namespace internal

bool CancelAllRuns(Seconds longest) {
  const auto models = internal::WithErrors("all models", [] { return internal::AliveModels(); });
  const auto deadline = std::chrono::steady_clock::now() + longest;
  for (const auto& model : models) model->Cancel();
  bool idle = true;
  for (const auto& model : models) {
    const std::chrono::duration<double> left = deadline - std::chrono::steady_clock::now();
    // A callback that exits still counts as a call of its own model.
    const std::uint64_t here = internal::Delivering() == model.get() ? 1 : 0;
    idle &= model->gate.WaitFor(std::max(left.count(), 0.0), here);
  }
  return idle;
}

}  // namespace savedmodel
