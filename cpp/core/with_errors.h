// SPDX-License-Identifier: Apache-2.0
// INTERNAL. All errors of the public interface are Error.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "savedmodel/error.h"

namespace savedmodel::internal {

// What the standard library throws in `call` (in TensorFlow, too, where a graph contradicts itself) becomes
// an Error of `subject`.
template <typename Call>
auto WithErrors(const std::string& subject, const Call& call) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(subject + ": out of memory");
  } catch (const std::exception& error) {
    throw Error(Code::kInternal, subject + ": " + error.what());
  }
}

// A value of the public interface that was made without one, or moved from.
[[noreturn]] inline void RefuseEmpty(const char* type) {
  throw Error(Code::kFailedPrecondition,
              std::string("this ") + type + " holds nothing: it was made empty, or moved from");
}

}  // namespace savedmodel::internal
