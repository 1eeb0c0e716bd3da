// SPDX-License-Identifier: Apache-2.0
// Instruction sets. The code in simd/ is compiled once for each, in a namespace of its name.
#pragma once

#include <vector>

namespace savedmodel::engine {

enum class Isa { kGeneric, kAvx2, kAvx512 };

const char* Name(Isa isa);

// The instruction sets that this machine supports, the fastest last. SAVEDMODEL_MAX_ISA in the environment
// (generic, avx2) leaves out those above, to measure what another machine would do.
const std::vector<Isa>& AvailableIsas();
inline Isa BestIsa() { return AvailableIsas().back(); }

}  // namespace savedmodel::engine
