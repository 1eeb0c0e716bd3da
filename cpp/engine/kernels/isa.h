// SPDX-License-Identifier: Apache-2.0
// Instruction sets. The code in simd/ is compiled once for each, in a namespace of its name.
#pragma once

#include <vector>

namespace savedmodel::engine {

enum class Isa { kGeneric, kAvx2, kAvx512 };

const char* Name(Isa isa);

// The instruction sets that this machine supports, the fastest last.
const std::vector<Isa>& AvailableIsas();
inline Isa BestIsa() { return AvailableIsas().back(); }

}  // namespace savedmodel::engine

// Declares what simd/ defines in each instruction set's namespace, and selects one.
#ifdef __x86_64__
#define SAVEDMODEL_DECLARE_PER_ISA(type, name) \
  namespace generic {                          \
  extern const type name;                      \
  }                                            \
  namespace avx2 {                             \
  extern const type name;                      \
  }                                            \
  namespace avx512 {                           \
  extern const type name;                      \
  }
#define SAVEDMODEL_OF_ISA(isa, name) \
  ((isa) == Isa::kAvx512 ? avx512::name : (isa) == Isa::kAvx2 ? avx2::name : generic::name)
#else
#define SAVEDMODEL_DECLARE_PER_ISA(type, name) \
  namespace generic {                          \
  extern const type name;                      \
  }
#define SAVEDMODEL_OF_ISA(isa, name) (static_cast<void>(isa), generic::name)
#endif
