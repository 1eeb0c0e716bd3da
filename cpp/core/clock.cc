// SPDX-License-Identifier: Apache-2.0
#include "core/clock.h"

#include <atomic>
#include <chrono>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace savedmodel::internal {
namespace {

std::uint64_t SystemNanoseconds() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

// True if the time stamp counter has a constant rate, independent of the core's frequency.
bool CounterIsEven() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
#else
  return false;
#endif
}

const bool counter_is_even = CounterIsEven();
std::atomic<double> ns_per_tick{1};

}  // namespace

std::uint64_t Ticks() {
#if defined(__x86_64__)
  if (counter_is_even) return __builtin_ia32_rdtsc();
#endif
  return SystemNanoseconds();
}

void CalibrateTicks() {
  if (!counter_is_even) return;
  static const std::uint64_t first_tick = Ticks();
  static const std::uint64_t first_ns = SystemNanoseconds();
  const std::uint64_t ticks = Ticks() - first_tick;
  const std::uint64_t ns = SystemNanoseconds() - first_ns;
  if (ns > 100'000) {
    ns_per_tick.store(static_cast<double>(ns) / static_cast<double>(ticks), std::memory_order_relaxed);
  }
}

double NanosecondsPerTick() { return ns_per_tick.load(std::memory_order_relaxed); }

}  // namespace savedmodel::internal
