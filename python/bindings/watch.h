// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gil.h"
#include "savedmodel/watched.h"

namespace savedmodel::python {

// Let go of without the GIL: models are freed.
struct WatchHandle {
  ~WatchHandle() {
    const ReleaseGil release;
    watched = Watched();
  }
  Watched watched;
};

}  // namespace savedmodel::python
