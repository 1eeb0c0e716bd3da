// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/counters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <numeric>

#include "core/call_counters.h"
#include "core/clock.h"

namespace savedmodel {
namespace {

constexpr unsigned kFirst = 7;  // the first bucket ends at 2^7 ns
constexpr std::size_t kLast = RunCounters::kBuckets - 1;

std::size_t BucketOf(std::uint64_t ns) {
  if (ns < (std::uint64_t{1} << kFirst)) return 0;
  const auto exponent = 63U - static_cast<unsigned>(__builtin_clzll(ns));
  return std::min<std::size_t>(1 + std::size_t{4} * (exponent - kFirst) + ((ns >> (exponent - 2)) & 3),
                               kLast);
}

}  // namespace

std::uint64_t RunCounters::errors_in_all() const {
  return std::accumulate(errors.begin(), errors.end(), std::uint64_t{0});
}

double RunCounters::UpperBound(std::size_t bucket) {
  if (bucket >= kLast) return std::numeric_limits<double>::infinity();
  if (bucket == 0) return std::ldexp(1e-9, kFirst);
  const std::size_t quarter = bucket - 1;
  return std::ldexp(1e-9 * (1 + static_cast<double>(quarter % 4 + 1) / 4),
                    static_cast<int>(kFirst + quarter / 4));
}

double RunCounters::Quantile(double fraction) const {
  const auto all = static_cast<double>(successes);
  const double rank = std::min(std::max(std::ceil(fraction * all), 1.0), all);
  double below = 0;
  for (std::size_t i = 0; i < kBuckets && successes > 0; ++i) {
    const auto here = static_cast<double>(latency[i]);
    if (here == 0 || below + here < rank) {
      below += here;
      continue;
    }
    const double low = i == 0 ? 0 : UpperBound(i - 1);
    const double high = i == kLast ? low : UpperBound(i);
    return low + (high - low) * (rank - below) / here;
  }
  return 0;
}

namespace internal {

namespace {

std::uint64_t Nanoseconds(std::uint64_t ticks) {
  // The clocks of two cores may differ by more than a call's duration.
  const auto elapsed = std::max<std::int64_t>(static_cast<std::int64_t>(ticks), 0);
  return static_cast<std::uint64_t>(static_cast<double>(elapsed) * NanosecondsPerTick());
}

}  // namespace

void CallCounters::LeftQueue(std::uint64_t ticks) {
  queued_.fetch_add(1, std::memory_order_relaxed);
  queue_ns_.fetch_add(Nanoseconds(ticks), std::memory_order_relaxed);
}

void CallCounters::Durations::Add(std::uint64_t ticks) {
  const std::uint64_t ns = Nanoseconds(ticks);
  latency[BucketOf(ns)].fetch_add(1, std::memory_order_relaxed);
  total_ns.fetch_add(ns, std::memory_order_relaxed);
}

void CallCounters::Durations::Read(std::array<std::uint64_t, RunCounters::kBuckets>* counts,
                                   double* seconds) const {
  for (std::size_t i = 0; i < latency.size(); ++i) {
    (*counts)[i] += latency[i].load(std::memory_order_relaxed);
  }
  *seconds += static_cast<double>(total_ns.load(std::memory_order_relaxed)) * 1e-9;
}

CallCounters::~CallCounters() {
  for (const std::atomic<Durations*>& failed : failed_) delete failed.load(std::memory_order_acquire);
}

void CallCounters::Failed(Code code, std::uint64_t ticks) noexcept {
  const auto given = static_cast<std::size_t>(code);
  const std::size_t index = given < errors_.size() ? given : static_cast<std::size_t>(Code::kUnknown);
  errors_[index].fetch_add(1, std::memory_order_relaxed);
  Durations* durations = failed_[index].load(std::memory_order_acquire);
  if (durations == nullptr) {
    std::unique_ptr<Durations> made(new (std::nothrow) Durations);
    if (made == nullptr) return;
    if (failed_[index].compare_exchange_strong(durations, made.get(), std::memory_order_acq_rel)) {
      durations = made.release();
    }
  }
  durations->Add(ticks);
}

void CallCounters::Read(RunCounters* counters) const {
  succeeded_.Read(&counters->latency, &counters->total_seconds);
  counters->successes = std::accumulate(counters->latency.begin(), counters->latency.end(), std::uint64_t{0});
  for (std::size_t i = 0; i < failed_.size(); ++i) {
    counters->errors[i] += errors_[i].load(std::memory_order_relaxed);
    const Durations* durations = failed_[i].load(std::memory_order_acquire);
    if (durations == nullptr) continue;
    RunCounters::Failures& failures = counters->failures[static_cast<Code>(i)];
    durations->Read(&failures.latency, &failures.total_seconds);
  }
  counters->queued += queued_.load(std::memory_order_relaxed);
  counters->queue_seconds += static_cast<double>(queue_ns_.load(std::memory_order_relaxed)) * 1e-9;
}

}  // namespace internal
}  // namespace savedmodel
