// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "gil.h"
#include "savedmodel/error.h"

namespace savedmodel::python {

// What is due when a call is back with the GIL: TensorFlow's log records, objects that it let go of.
// Nearly free when there is nothing. Requires GIL.
void AfterCall();

// From here on Ctrl-C ends runs of the calling thread, if that is the main one. Requires GIL.
void WatchForInterrupts();

// Calls without the GIL, and does what is due then, also where it throws. Requires GIL.
template <typename Call>
auto WithoutGil(const Call& call) {
  try {
    if constexpr (std::is_void_v<decltype(call())>) {
      {
        const ReleaseGil release;
        call();
      }
      AfterCall();
    } else {
      auto result = [&] {
        const ReleaseGil release;
        return call();
      }();
      AfterCall();
      return result;
    }
  } catch (const Error&) {
    AfterCall();
    throw;
  }
}

}  // namespace savedmodel::python
