// SPDX-License-Identifier: Apache-2.0
#include "core/with_errors.h"

#include <new>

namespace savedmodel::internal {
namespace {

// Created with the library, because copies of it need no memory. Never destroyed: threads run during exit,
// too.
const OutOfMemory& out_of_memory = *new OutOfMemory("out of memory");

}  // namespace

std::string Subject::ToString() const {
  std::string text(text_);
  return quoted_ ? "'" + text + "'" : text;
}

void ThrowAsError(const Subject& subject) {
  try {
    const std::string about = subject.ToString() + ": ";
    try {
      throw;
    } catch (const Error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw OutOfMemory(about + "out of memory");
    } catch (const std::exception& error) {
      throw Error(Code::kInternal, about + error.what());
    }
  } catch (const std::bad_alloc&) {  // no memory for the message either
    throw OutOfMemory(out_of_memory);
  }
}

void RefuseEmpty(const char* type) {
  Throw(type, [&] {
    return Error(Code::kFailedPrecondition,
                 std::string("this ") + type + " is empty: it was default-constructed or moved from");
  });
}

}  // namespace savedmodel::internal
