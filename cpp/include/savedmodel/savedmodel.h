// SPDX-License-Identifier: Apache-2.0
// Includes the whole public API.
#pragma once

#include "savedmodel/batcher.h"         // IWYU pragma: export
#include "savedmodel/cancellation.h"    // IWYU pragma: export
#include "savedmodel/constants.h"       // IWYU pragma: export
#include "savedmodel/counters.h"        // IWYU pragma: export
#include "savedmodel/dtype.h"           // IWYU pragma: export
#include "savedmodel/duration.h"        // IWYU pragma: export
#include "savedmodel/edit.h"            // IWYU pragma: export
#include "savedmodel/error.h"           // IWYU pragma: export
#include "savedmodel/function.h"        // IWYU pragma: export
#include "savedmodel/inspect.h"         // IWYU pragma: export
#include "savedmodel/interrupt.h"       // IWYU pragma: export
#include "savedmodel/metrics.h"         // IWYU pragma: export
#include "savedmodel/model.h"           // IWYU pragma: export
#include "savedmodel/optimization.h"    // IWYU pragma: export
#include "savedmodel/options.h"         // IWYU pragma: export
#include "savedmodel/results.h"         // IWYU pragma: export
#include "savedmodel/runtime.h"         // IWYU pragma: export
#include "savedmodel/saved_function.h"  // IWYU pragma: export
#include "savedmodel/shape.h"           // IWYU pragma: export
#include "savedmodel/signature.h"       // IWYU pragma: export
#include "savedmodel/span.h"            // IWYU pragma: export
#include "savedmodel/tensor.h"          // IWYU pragma: export
#include "savedmodel/thread_pool.h"     // IWYU pragma: export
#include "savedmodel/trace.h"           // IWYU pragma: export
#include "savedmodel/version.h"         // IWYU pragma: export
#include "savedmodel/warmup.h"          // IWYU pragma: export
#include "savedmodel/watched.h"         // IWYU pragma: export
