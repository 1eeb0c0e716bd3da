// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Keeps the process's resident memory small.
#pragma once

namespace savedmodel::internal {

// To be called after work that leaves much behind: a load, a function's first call, a close. Returns freed
// memory of the C library's heap to the system. With `library_pages`, also drops the pages of TensorFlow's
// code and constants: opening and loading touch some 340 MB of symbol tables, relocations and start-up code
// that hardly any call needs again. A page that is needed comes from the page cache. SAVEDMODEL_KEEP_PAGES in
// the environment keeps the pages. May be called during runs.
void ReduceResidentMemory(bool library_pages);
// The runtime has opened TensorFlow. Until then its pages stay: the program uses it by itself.
void MayDropLibraryPages();

}  // namespace savedmodel::internal
