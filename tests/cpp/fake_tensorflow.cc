// SPDX-License-Identifier: Apache-2.0
// Replaces TensorFlow's libraries by one that is too old, or that ends the process while it is opened.
#include <cstdio>
#include <cstdlib>

extern "C" __attribute__((visibility("default"))) const char* TF_Version() { return "2.20.3"; }

namespace {
[[maybe_unused]] const int initialised = [] {
  if (std::getenv("SAVEDMODEL_TEST_DIE") == nullptr) return 0;
  std::fputs("the last words of a static initialiser\n", stderr);
  std::abort();
}();
}  // namespace
