// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace savedmodel {

// A duration: a number of seconds, or any of std::chrono's durations (50ms).
class Seconds : public std::chrono::duration<double> {
 public:
  constexpr Seconds(double seconds) : duration(seconds) {}
  template <typename Rep, typename Period>
  constexpr Seconds(const std::chrono::duration<Rep, Period>& span) : duration(span) {}
};

}  // namespace savedmodel
