// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16, summed in float32: two per instruction.
#include "engine/kernels/simd/gemm.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

using Word = std::uint32_t __attribute__((may_alias));

struct Pairs {
  static void AddProduct(const float* x, Vec w, Vec* sum) {
    const Bits pair = *reinterpret_cast<const Word*>(x) - Bits{};
    *sum = reinterpret_cast<Vec>(_mm512_dpbf16_ps(
        reinterpret_cast<__m512>(*sum), reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(pair)));
  }
  static void AddSum(Vec other, Vec* sum) { *sum += other; }
  static Vec Value(const GemmStrip& /*strip*/, const float* /*a*/, int /*v*/, Vec sum) { return sum; }
};

inline void RoundTwo(Vec low, Vec high, float* to, std::int64_t words) {
  const auto pairs = reinterpret_cast<Vec>(
      _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(high), reinterpret_cast<__m512>(low)));
  words >= kLanes ? Store(to, pairs) : StoreSome(to, pairs, words);
}

void Round(const float* from, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    RoundTwo(Load(from + i), Load(from + i + kLanes), to + i / 2, kLanes);
  }
  const std::int64_t rest = count - i;
  if (rest <= 0) return;
  const Vec low = rest >= kLanes ? Load(from + i) : LoadSome(from + i, rest);
  const Vec high = rest > kLanes ? LoadSome(from + i + kLanes, rest - kLanes) : Vec{};
  RoundTwo(low, high, to + i / 2, (rest + 1) / 2);
}

}  // namespace

extern const GemmKernel kGemmKernel;
const GemmKernel kGemmKernel = {kLanes, kPanelVectors, kTileRows, 2, Round, Strip<Pairs>, nullptr};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
