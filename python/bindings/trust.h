// SPDX-License-Identifier: Apache-2.0
// Which functions an event loop may wait for.
#pragma once

#include <algorithm>
#include <atomic>

namespace savedmodel::python {

// Finds functions whose time depends on values and not on sizes: an event loop does not wait for them. One
// run that is far too slow, after many quick ones, has lost its core.
class Trust {
 public:
  bool Ends() const { return distrust_ > 0; }  // until so many quick runs elsewhere
  void Quick() {
    if (distrust_ > 0) {
      --distrust_;
    } else if (quick_ < kForgives) {
      ++quick_;
    }
  }
  // Returns true if it ends the trust.
  bool FarTooSlow() {
    const bool forgiven = quick_.exchange(0) >= kForgives;
    penalty_ = forgiven ? 0 : std::min(4 * penalty_ + kMinPenalty, kMaxPenalty);
    distrust_ = penalty_.load();
    return !forgiven;
  }

 private:
  static constexpr int kMinPenalty = 64, kMaxPenalty = 1 << 16, kForgives = 4096;
  std::atomic<int> penalty_{0}, distrust_{0}, quick_{0};
};

}  // namespace savedmodel::python
