// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "gil.h"
#include "savedmodel/error.h"

namespace savedmodel::python {

// Work due when a call has the GIL again: TensorFlow's log records, and objects that it released. Nearly free
// if there is none. Requires GIL.
void AfterCall();

// From here on Ctrl-C ends runs of the calling thread, if it is the main thread. Requires GIL.
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
