// SPDX-License-Identifier: Apache-2.0
// The float mode of TensorFlow's threads: subnormal inputs and results are zero, and results are rounded to
// the nearest.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#else
#include <cfenv>

#include "tensorflow/core/platform/denormal.h"
#include "tensorflow/core/platform/setround.h"
#endif

namespace savedmodel::engine {

// Sets the calling thread's mode, and restores it at the end of the scope.
class FloatMode {
 public:
#if defined(__SSE__)
  FloatMode() : before_(_mm_getcsr()), mode_((before_ & ~kRounding) | kFlush) {
    if (mode_ != before_) _mm_setcsr(mode_);
  }
  // Exceptions raised meanwhile stay in the flags, as after any computation.
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
  static constexpr unsigned kFlags = 0x3F, kRounding = 0x6000, kFlush = 0x8040;  // bits of the control
                                                                                 // register
  const unsigned before_, mode_;
#else
  tensorflow::port::ScopedFlushDenormal flush_;
  tensorflow::port::ScopedSetRound round_;
#endif
};

}  // namespace savedmodel::engine
