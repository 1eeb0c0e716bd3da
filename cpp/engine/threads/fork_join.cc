// SPDX-License-Identifier: Apache-2.0
// The callers' side: creates regions, offers their tasks, and joins them.
#include "engine/threads/fork_join.h"

#include <algorithm>
#include <utility>

#include "engine/threads/fork_join_worker.h"
#include "engine/threads/run_recorder.h"
#include "engine/threads/wait.h"

namespace savedmodel::engine {
namespace {

constexpr int kPausesPerLook = 32;  // about a microsecond
constexpr int kLookAhead = 4;       // slots that a worker tries after its own
constexpr int kTriesToTell = 2;     // workers that are asked to take an offered task

RunQueueDelay& CallersRunQueueDelay() {
  thread_local RunQueueDelay lost;
  return lost;
}

// Spreads the threads' searches for a free region: each always starts at the same place.
std::size_t RegionHint() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t hint = threads++;
  return hint;
}

}  // namespace

thread_local ForkJoin::Here ForkJoin::here_;
thread_local ForkJoin::Call* ForkJoin::call_ = nullptr;

ForkJoin::Call::Call(ForkJoin& pool) : pool_(pool), outer_(call_), phase_(pool.governor_.phase()) {
  if (phase_ != 0) begin_ = NowNs();
  call_ = this;
}

void ForkJoin::Call::Enter() {
  entered_ = true;
  crowded_ = pool_.callers_.fetch_add(1, std::memory_order_relaxed) >= pool_.threads() - 1;
}

ForkJoin::Call::~Call() {
  call_ = outer_;
  if (!entered_) return;
  pool_.callers_.fetch_sub(1, std::memory_order_relaxed);
  if (phase_ != 0 && !crowded_) pool_.governor_.Learn(phase_, begin_, NowNs());
}

int ForkJoin::CurrentId() const { return here_.pool == this ? here_.id : -1; }
bool ForkJoin::InRegion() const { return here_.pool == this && here_.in_region; }

// At most as many callers and workers are active as there are threads, less those that others need.
int ForkJoin::Width() const {
  const bool counted = call_ == nullptr || &call_->pool_ != this || call_->entered_;
  const int others = std::max(0, callers_.load(std::memory_order_relaxed) - (counted ? 1 : 0));
  const int workers = std::min(options_.threads - 1, startable_.load(std::memory_order_relaxed));
  return std::max(0, workers - others - governor_.yielded());
}

int ForkJoin::Enter() {
  if (call_ != nullptr && &call_->pool_ == this && !call_->entered_) call_->Enter();
  return Width();
}

Region* ForkJoin::Acquire() {
  int width = Width();
  if (width > 0 && started_.load(std::memory_order_acquire) < width)
    width = std::min(width, Start(options_.threads - 1));
  if (width == 0) return nullptr;
  const std::size_t count = regions_.size();
  const std::size_t hint = RegionHint();
  for (std::size_t i = 0; i < count; ++i) {
    Region& region = *regions_[(hint + i) % count];
    if (region.in_use.load(std::memory_order_relaxed) ||
        region.in_use.exchange(true, std::memory_order_acquire)) {
      continue;
    }
    region.width = width;
    region.first = static_cast<int>((hint + i) % count) % width;
    return &region;
  }
  return nullptr;
}

// More callers than threads compete with each other; that is no contention for the governor.
void ForkJoin::ReportRunQueueDelay() {
  const std::int64_t now = NowNs();
  const std::int64_t sample_ns = CallersRunQueueDelay().Contended(now);
  if (sample_ns > 0 && callers_.load(std::memory_order_relaxed) < options_.threads) {
    governor_.Found(now, sample_ns);
  }
}

void ForkJoin::Run(const Task& root) {
  if (!InRegion() && (call_ == nullptr || &call_->pool_ != this)) {
    const Call call(*this);
    Run(root);
    return;
  }
  // A task of a region, of this pool or another, may be calling: save its deferred tasks.
  Here outer;
  outer.Swap(here_);
  const bool nested = outer.pool == this && outer.in_region;
  if (!nested && !call_->entered_) call_->Enter();
  if (!nested && options_.yield_cores && options_.threads > 1) ReportRunQueueDelay();
  here_.pool = this;
  here_.id = nested ? outer.id : options_.threads - 1;
  here_.in_region = true;
  Region* const region = here_.region = nested ? nullptr : Acquire();
  root();
  RunDeferred();
  if (region != nullptr) {
    Join(*region);
    region->in_use.store(false, std::memory_order_release);
  }
  here_.in_region = false;
  here_.region = nullptr;
  outer.Swap(here_);
}

void ForkJoin::Fork(Task task, int hint) {
  if (RunRecorder* recorder = RunRecorder::OfThread(); recorder != nullptr)
    task = recorder->Wrap(std::move(task));
  Here& here = here_;
  if (here.region != nullptr) {
    Region& region = *here.region;
    const int first = hint > here.slot && hint < region.size ? hint : here.slot + 1;
    for (int index = first; index < region.size; ++index) {
      RegionSlot& slot = region.at(index);
      std::uint32_t state = RegionSlot::kFree;
      if (!slot.state.compare_exchange_strong(state, RegionSlot::kFilling, std::memory_order_acquire))
        continue;
      slot.task = std::move(task);
      slot.state.store(RegionSlot::kOffered, std::memory_order_release);
      Tell(region, index);
      return;
    }
  }
  here.deferred.push_back(std::move(task));
}

void ForkJoin::RunDeferred() {
  std::vector<Task>& deferred = here_.deferred;
  while (!deferred.empty()) {
    const Task task = std::move(deferred.back());
    deferred.pop_back();
    task();
  }
}

// If no worker is notified, the caller takes the task, or a worker that looks ahead does.
void ForkJoin::Tell(const Region& region, int slot) {
  const auto number = static_cast<std::uint64_t>(region.number);
  const std::uint64_t mail = number * kFirstRegionMail + static_cast<std::uint64_t>(slot);
  const int tries = std::min(kTriesToTell, region.width);
  for (int i = 0; i < tries; ++i) {
    const int id = (region.first + slot - 1 + i) % region.width;
    if (Post(*workers_[static_cast<std::size_t>(id)], mail)) return;
  }
}

bool ForkJoin::TryRun(Region& region, int index) {
  RegionSlot& slot = region.at(index);
  std::uint32_t state = slot.state.load(std::memory_order_relaxed);
  if (state != RegionSlot::kOffered ||
      !slot.state.compare_exchange_strong(state, RegionSlot::kTaken, std::memory_order_acquire)) {
    return false;
  }
  Here& here = here_;
  Region* const outer_region = std::exchange(here.region, &region);
  const int outer_slot = std::exchange(here.slot, index);
  const bool outer_in_region = std::exchange(here.in_region, true);
  {
    const Task task = std::move(slot.task);
    slot.task = nullptr;
    task();
    RunDeferred();
  }
  here.region = outer_region;
  here.slot = outer_slot;
  here.in_region = outer_in_region;
  if (slot.state.exchange(RegionSlot::kFree, std::memory_order_acq_rel) == RegionSlot::kTakenAndAwaited) {
    FutexWakeOne(slot.state);
  }
  return true;
}

bool ForkJoin::TryRunAfter(Region& region, int slot) {
  for (int i = slot + 1; i < region.size; ++i) {
    if (TryRun(region, i)) return true;
  }
  return false;
}

void ForkJoin::Join(Region& region) {
  for (int i = 1; i < region.size; ++i) {
    while (region.at(i).state.load(std::memory_order_acquire) != RegionSlot::kFree) {
      if (!TryRun(region, i) && !TryRunAfter(region, i)) Await(region, i);
    }
  }
}

// Returns when the slot is free, or after a while if a slot behind it has a task to run.
void ForkJoin::Await(Region& region, int index) {
  std::atomic<std::uint32_t>& state = region.at(index).state;
  const std::int64_t begin = NowNs();
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (state.load(std::memory_order_acquire) != RegionSlot::kTaken) return;
      Pause();
    }
    if (TryRunAfter(region, index)) return;
  } while (NowNs() - begin < options_.join_spin_ns);
  std::uint32_t value = RegionSlot::kTaken;
  if (!state.compare_exchange_strong(value, RegionSlot::kTakenAndAwaited)) return;
  while (state.load(std::memory_order_acquire) == RegionSlot::kTakenAndAwaited) {
    FutexWait(state, RegionSlot::kTakenAndAwaited);
  }
}

void ForkJoin::Open(std::uint64_t mail) {
  if (mail < kFirstRegionMail) return;
  Region& region = *regions_[mail / kFirstRegionMail - 1];
  const int slot = static_cast<int>(mail % kFirstRegionMail);
  // Its own slot first, then unclaimed ones after it.
  for (int i = slot, misses = 0; i < region.size && misses < kLookAhead; ++i) {
    misses = TryRun(region, i) ? 0 : misses + 1;
  }
}

}  // namespace savedmodel::engine
