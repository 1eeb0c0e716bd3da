// SPDX-License-Identifier: Apache-2.0
// INTERNAL. All errors of the public interface are Error: every function of it that makes something, if only
// a message, does so inside of WithErrors.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "savedmodel/error.h"

namespace savedmodel::internal {

// What an error is about. It refers to its text, which is put together with the error and not before, as
// there may be no memory.
class Subject {
 public:
  Subject(const char* text) : text_(text) {}
  Subject(const std::string& text) : text_(text) {}
  // 'text'
  static Subject Quoted(const std::string& text) {
    Subject subject(text);
    subject.quoted_ = true;
    return subject;
  }
  std::string ToString() const;

 private:
  std::string_view text_;
  bool quoted_ = false;
};

// The exception that is being handled, as an Error of `subject`: an OutOfMemory, if need be without it.
[[noreturn]] void ThrowAsError(const Subject& subject);

// What the standard library throws in `call` (in TensorFlow, too, where a graph contradicts itself) becomes
// an Error of `subject`.
template <typename Call>
auto WithErrors(const Subject& subject, const Call& call) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    ThrowAsError(subject);
  }
}

// Throws what `make` returns.
template <typename Make>
[[noreturn]] void Throw(const Subject& subject, const Make& make) {
  WithErrors(subject, [&] { throw make(); });
  __builtin_unreachable();
}

// A value of the public interface that was made without one, or moved from.
[[noreturn]] void RefuseEmpty(const char* type);

}  // namespace savedmodel::internal
