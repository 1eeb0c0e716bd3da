// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Turns every exception of the public API into Error. Each public function that allocates anything,
// even a message, does so inside WithErrors.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "savedmodel/error.h"

namespace savedmodel::internal {

// The subject of an error. It refers to its text, which is joined only when an error occurs, as memory may be
// short.
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

// Rethrows the current exception as an Error about `subject`; as OutOfMemory, without the subject if need be.
[[noreturn]] void ThrowAsError(const Subject& subject);

// Turns standard exceptions from `call` into an Error about `subject`. TensorFlow, too, throws them on an
// inconsistent graph.
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

// Throws the error that `make` returns.
template <typename Make>
[[noreturn]] void Throw(const Subject& subject, const Make& make) {
  WithErrors(subject, [&] { throw make(); });
  __builtin_unreachable();
}

// Throws for an empty handle of the public API: default-constructed or moved from.
[[noreturn]] void RefuseEmpty(const char* type);

}  // namespace savedmodel::internal
