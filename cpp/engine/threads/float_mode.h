// SPDX-License-Identifier: Apache-2.0
// How TensorFlow's threads compute: subnormal floats are zero, on the way in and out, and results are rounded
// to the nearest.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#else
#include <cfenv>

#include "tensorflow/core/platform/denormal.h"
#include "tensorflow/core/platform/setround.h"
#endif

namespace savedmodel::engine {

// For the calling thread, which gets its own mode back at the end of the scope.
class FloatMode {
 public:
#if defined(__SSE__)
  FloatMode() : before_(_mm_getcsr()), mode_((before_ & ~kRounding) | kFlush) {
    if (mode_ != before_) _mm_setcsr(mode_);
  }
  // What was raised meanwhile stays in the flags, as after any computation.
  ~FloatMode() {
    if (mode_ != before_) _mm_setcsr((_mm_getcsr() & kFlags) | before_);
  }
#else
  FloatMode() : round_(FE_TONEAREST) {}
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__SSE__)
  static constexpr unsigned kFlags = 0x3F, kRounding = 0x6000, kFlush = 0x8040;  // of the control register
  const unsigned before_, mode_;
#else
  tensorflow::port::ScopedFlushDenormal flush_;
  tensorflow::port::ScopedSetRound round_;
#endif
};

}  // namespace savedmodel::engine
