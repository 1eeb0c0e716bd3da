// SPDX-License-Identifier: Apache-2.0
#include "core/resident_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "core/environment.h"
#include "core/find_tensorflow.h"

namespace savedmodel::internal {
namespace {

std::atomic<bool> may_drop{false};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Writable segments stay: they hold variables, and relocated data where the linker has protected it since.
int DropSegments(dl_phdr_info* library, std::size_t /*size*/, void* /*data*/) {
  const std::string_view name = library->dlpi_name == nullptr ? "" : library->dlpi_name;
  if (!EndsWith(name, kRuntimeLibrary) && !EndsWith(name, kFrameworkLibrary)) return 0;
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    // Whole pages only: the neighbour of a segment may have written to one that they share.
    const std::uintptr_t first = library->dlpi_addr + segment.p_vaddr, last = first + segment.p_filesz;
    const std::uintptr_t begin = (first + page - 1) / page * page, end = last / page * page;
    // Fails for memory that is locked, which is to stay.
    if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void ReduceResidentMemory(bool library_pages) {
  static const bool keeps = IsSwitchedOn("SAVEDMODEL_KEEP_PAGES");
#ifdef __GLIBC__
  (void)malloc_trim(0);
#endif
  if (library_pages && !keeps && may_drop.load(std::memory_order_relaxed)) {
    dl_iterate_phdr(&DropSegments, nullptr);
  }
}

void MayDropLibraryPages() { may_drop = true; }

}  // namespace savedmodel::internal
