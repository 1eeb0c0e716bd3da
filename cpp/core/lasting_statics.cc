// SPDX-License-Identifier: Apache-2.0
#include "core/lasting_statics.h"

#include <cstddef>

#if defined(__GLIBC__) && defined(__LP64__)
#include <link.h>

#include <cstdint>
#include <string_view>

namespace savedmodel::internal {
namespace {

using Word = ElfW(Addr);

#if defined(__x86_64__)
constexpr Word kJumpSlot = R_X86_64_JUMP_SLOT;
#elif defined(__aarch64__)
constexpr Word kJumpSlot = R_AARCH64_JUMP_SLOT;
#else
constexpr Word kJumpSlot = 0;
#endif

// Replaces __cxa_atexit, and registers nothing.
int Keep(void (*)(void*), void*, void*) { return 0; }

struct Dynamic {
  explicit Dynamic(const dl_phdr_info& object, const ElfW(Phdr) & header) {
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + header.p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      const Word value = entry->d_un.d_val;
      if (entry->d_tag == DT_JMPREL) relocations = reinterpret_cast<const ElfW(Rela)*>(value);
      if (entry->d_tag == DT_PLTRELSZ) count = value / sizeof(ElfW(Rela));
      if (entry->d_tag == DT_PLTREL) readable = value == DT_RELA;
      if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(value);
      if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(value);
      // With immediate binding, the table is read-only.
      bound |= entry->d_tag == DT_BIND_NOW || (entry->d_tag == DT_FLAGS && (value & DF_BIND_NOW) != 0) ||
               (entry->d_tag == DT_FLAGS_1 && (value & DF_1_NOW) != 0);
    }
  }
  bool usable() const {
    return readable && !bound && relocations != nullptr && symbols != nullptr && names != nullptr;
  }

  const ElfW(Rela) * relocations = nullptr;
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  std::size_t count = 0;
  bool readable = false;
  bool bound = false;
};

int Redirect(dl_phdr_info* object, std::size_t, void*) {
  const std::string_view path = object->dlpi_name;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name != "libtensorflow_framework.so.2" && name != "libtensorflow_cc.so.2") return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const Dynamic dynamic(*object, object->dlpi_phdr[i]);
    for (std::size_t j = 0; dynamic.usable() && j < dynamic.count; ++j) {
      const ElfW(Rela)& relocation = dynamic.relocations[j];
      if (ELF64_R_TYPE(relocation.r_info) != kJumpSlot) continue;
      const char* symbol = dynamic.names + dynamic.symbols[ELF64_R_SYM(relocation.r_info)].st_name;
      if (std::string_view(symbol) != "__cxa_atexit") continue;
      auto* slot = reinterpret_cast<Word*>(object->dlpi_addr + relocation.r_offset);
      __atomic_store_n(slot, reinterpret_cast<Word>(&Keep), __ATOMIC_RELAXED);
      break;
    }
  }
  return 0;
}

}  // namespace

void KeepTensorFlowsStatics() { dl_iterate_phdr(&Redirect, nullptr); }

}  // namespace savedmodel::internal

#else
namespace savedmodel::internal {
void KeepTensorFlowsStatics() {}
}  // namespace savedmodel::internal
#endif
