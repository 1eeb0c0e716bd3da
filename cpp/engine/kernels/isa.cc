// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/isa.h"

#include <cstdlib>
#include <string_view>

namespace savedmodel::engine {

const char* Name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kGeneric:
      break;
  }
  return "generic";
}

const std::vector<Isa>& AvailableIsas() {
  static const auto* const isas = [] {
    auto* found = new std::vector<Isa>{Isa::kGeneric};
#ifdef __x86_64__
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const char* given = std::getenv("SAVEDMODEL_MAX_ISA");
    const std::string_view most = given == nullptr ? "" : given;
    if (most == "generic") return found;
    if (avx2) found->push_back(Isa::kAvx2);
    if (most == "avx2") return found;
    if (avx2 && __builtin_cpu_supports("avx512f")) found->push_back(Isa::kAvx512);
#endif
    return found;
  }();
  return *isas;
}

}  // namespace savedmodel::engine
