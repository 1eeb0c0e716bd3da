// SPDX-License-Identifier: Apache-2.0
// Products of int8 weights and rows that are rounded to uint8, summed in int32. With VNNI a word holds four
// numbers; else it holds two of 16 bits, because instructions for pairs of bytes saturate.
#include "engine/kernels/simd/gemm.inc"

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
using Number = std::uint8_t;
#else
using Number = std::int16_t;
#endif
constexpr int kNumbers = sizeof(float) / sizeof(Number);
// With AVX-512, sums of pairs leave six registers for operands and products.
constexpr int kRows = kLanes == 16 && kNumbers == 2 ? 13 : kTileRows;
using Numbers = Number __attribute__((vector_size(kLanes * sizeof(Number)), aligned(1), may_alias));
using Ints = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
using UnalignedInts =
    std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t)), aligned(4), may_alias));
using Word = std::int32_t __attribute__((may_alias));

// Adds the products of each word's numbers. Those of `x` are not negative.
inline Ints AddProducts(Ints sum, Ints x, Ints w) {
#if defined(__AVX512VNNI__)
  sum = reinterpret_cast<Ints>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(w)));
#elif defined(__AVXVNNI__)
  sum = reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(
      reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w)));
#elif defined(__AVX512BW__)
  sum +=
      reinterpret_cast<Ints>(_mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__)
  sum +=
      reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w)));
#elif defined(__x86_64__)
  sum += reinterpret_cast<Ints>(_mm_madd_epi16(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(w)));
#else
  constexpr Ints kHalf = Ints{} + 16;
  sum += (x & 0xFFFF) * ((w << kHalf) >> kHalf) + (x >> kHalf) * (w >> kHalf);
#endif
  return sum;
}

struct Integers {
  static void AddProduct(const float* x, Vec w, Vec* sum) {
    *sum = reinterpret_cast<Vec>(AddProducts(
        reinterpret_cast<Ints>(*sum), Ints{} + *reinterpret_cast<const Word*>(x), reinterpret_cast<Ints>(w)));
  }
  static void AddSum(Vec other, Vec* sum) {
    *sum = reinterpret_cast<Vec>(reinterpret_cast<Ints>(*sum) + reinterpret_cast<Ints>(other));
  }
  static Vec Value(const GemmStrip& strip, const float* a, int v, Vec sum) {
    const std::int32_t zero = reinterpret_cast<const Word*>(a)[-1];
    const Ints sums = *reinterpret_cast<const UnalignedInts*>(strip.sums + v * kLanes);
    const Vec scaled = __builtin_convertvector(reinterpret_cast<Ints>(sum) - zero * sums, Vec) *
                       Load(strip.scales + v * kLanes);
    return scaled * a[-2];  // the scales' product might be subnormal
  }
};

// To the nearest integer, and the even one of two.
inline Ints Nearest(Vec x) {
#if defined(__AVX512F__)
  // A full mask avoids a warning of GCC in its own headers.
  return reinterpret_cast<Ints>(_mm512_maskz_cvtps_epi32(0xFFFF, reinterpret_cast<__m512>(x)));
#elif defined(__AVX2__)
  return reinterpret_cast<Ints>(_mm256_cvtps_epi32(reinterpret_cast<__m256>(x)));
#elif defined(__x86_64__)
  return reinterpret_cast<Ints>(_mm_cvtps_epi32(reinterpret_cast<__m128>(x)));
#else
  Ints nearest = {};
  for (int i = 0; i < kLanes; ++i) {
    if (x[i] == x[i]) nearest[i] = static_cast<std::int32_t>(__builtin_rintf(x[i]));
  }
  return nearest;
#endif
}

inline void StoreNumbers(Number* to, Ints numbers) {
#if defined(__AVXVNNI__) && !defined(__AVX512F__)
  // GCC would move each number to an integer register. The lowest byte of each, in the first four of a half:
  constexpr std::int32_t kLowest = 0x0C080400;
  const __m256i packed = _mm256_shuffle_epi8(reinterpret_cast<__m256i>(numbers), _mm256_set1_epi32(kLowest));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to),
                   _mm_unpacklo_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1)));
#else
  *reinterpret_cast<Numbers*>(to) = __builtin_convertvector(numbers, Numbers);
#endif
}

// Rounds to multiples of a scale. A product is not added to anything, so no instruction set fuses it.
void RoundAll(const float* from, std::int64_t count, float inverse, std::int32_t zero, float* to) {
  const float most = static_cast<float>(255 - zero);
  Number* numbers = reinterpret_cast<Number*>(to);
  const auto store = [&](Vec x) { StoreNumbers(numbers, Nearest(AtMost(most, x * inverse)) + zero); };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes, numbers += kLanes) store(Load(from + i));
  if (i < count) store(LoadSome(from + i, count - i));
}

// Lane i of the result is lane i ^ kDistance.
template <int kDistance>
inline Vec Exchange(Vec x) {
  constexpr int d = kDistance;
#if defined(__AVX512F__)
  return __builtin_shufflevector(x, x, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d, 4 ^ d, 5 ^ d, 6 ^ d, 7 ^ d, 8 ^ d, 9 ^ d,
                                 10 ^ d, 11 ^ d, 12 ^ d, 13 ^ d, 14 ^ d, 15 ^ d);
#elif defined(__AVX2__)
  return __builtin_shufflevector(x, x, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d, 4 ^ d, 5 ^ d, 6 ^ d, 7 ^ d);
#else
  return __builtin_shufflevector(x, x, 0 ^ d, 1 ^ d, 2 ^ d, 3 ^ d);
#endif
}

template <int kDistance>
inline Vec MostOf(Vec x) {
  x = AtLeast(x, Exchange<kDistance>(x));
  if constexpr (kDistance > 1) x = MostOf<kDistance / 2>(x);
  return x;
}

template <int kDistance>
inline Vec SumOf(Vec x) {
  x += Exchange<kDistance>(x);
  if constexpr (kDistance > 1) x = SumOf<kDistance / 2>(x);
  return x;
}

// Of a row and zero. It may ignore a NaN, but then `other` is one; otherwise `other` is zero.
struct Range {
  float least, most, other;
};

struct RangeLanes {
  void Include(Vec x) {
    most = AtLeast(x, most);
    least = AtMost(x, least);
    other += x * 0.0F;
  }
  Vec least = {}, most = {}, other = {};
};

inline Range RangeOf(const float* from, std::int64_t count) {
  // Two, so that a comparison need not wait for the previous one.
  RangeLanes first, second;
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    first.Include(Load(from + i));
    second.Include(Load(from + i + kLanes));
  }
  if (i + kLanes <= count) {
    first.Include(Load(from + i));
    i += kLanes;
  }
  if (i < count) first.Include(LoadSome(from + i, count - i));
  first.Include(second.least);
  first.Include(second.most);
  // Half a vector for each end.
  constexpr int kHalf = kLanes / 2;
  const Vec most = AtLeast(first.most, Exchange<kHalf>(first.most));
  const Vec least = AtMost(first.least, Exchange<kHalf>(first.least));
  const Vec ends = MostOf<kHalf / 2>(Join(LowHalf(most), LowHalf(-least)));
  return {-ends[kHalf], ends[0], SumOf<kHalf>(first.other + second.other)[0]};
}

void Round(const float* from, std::int64_t count, float* to) {
  const Range range = RangeOf(from, count);
  // In double precision, where it can't overflow.
  const double width = static_cast<double>(range.most) - static_cast<double>(range.least);
  float scale = static_cast<float>(width / 255);
  float inverse = 0;
  std::int32_t zero = 0;
  if (!(range.other == 0)) {
    scale = __builtin_nanf("");
  } else if (scale < __FLT_MIN__) {  // the inverse may be an infinity
    scale = 0;
  } else {
    inverse = static_cast<float>(255 / width);
    zero = Nearest(Broadcast(-range.least * inverse))[0];
  }
  to[-2] = scale;
  reinterpret_cast<Word*>(to)[-1] = zero;
  RoundAll(from, count, inverse, zero, to);
}

void RoundWeights(const float* from, std::int64_t words, float* to, std::int32_t* sums) {
  RoundAll(from, words * kNumbers, 1, 0, to);
  constexpr std::int32_t kOnes = kNumbers == 4 ? 0x01010101 : 0x00010001;
  for (std::int64_t i = 0; i < words; i += kLanes) {
    const auto packed = reinterpret_cast<Ints>(Load(to + i));
    auto* const sum = reinterpret_cast<UnalignedInts*>(sums + i);
    *sum = AddProducts(*sum, Ints{} + kOnes, packed);
  }
}

}  // namespace

extern const GemmKernel kInt8GemmKernel;
const GemmKernel kInt8GemmKernel = {kLanes, kPanelVectors,   kRows,       kNumbers,
                                    Round,  Strip<Integers>, RoundWeights};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
