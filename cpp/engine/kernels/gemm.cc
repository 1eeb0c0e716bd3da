// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/gemm.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "engine/kernels/integers.h"

namespace savedmodel::engine {

namespace {

using Index = std::int64_t;

// Words of depth that are summed at once. A panel of them and the next take a quarter of a second-level cache
// of 1 MB, and the rows of `a` that they multiply at most half.
constexpr Index kMaxDepth = 1024;
// The same for integers, but in numbers and for all instruction sets: a block of a row has its own scale.
constexpr Index kMaxNumbers = 2048;
static_assert(kMaxNumbers * 255 * 127 <= std::numeric_limits<std::int32_t>::max(), "sums do not overflow");
constexpr double kNsPerPacked = 0.5;  // time to write a float of new memory
constexpr double kNsPerRead = 0.3;
constexpr Index kRowsAhead = 32;       // prefetched while weights are rounded
constexpr Index kScaledColumns = 256;  // at once: in many rows, a few would each take a page's address
constexpr Index kFloatsOfA = Index{1} << 17;
// So few weights stay in the second-level cache; the rows of `a` should then be in the first.
constexpr Index kFewWeights = Index{1} << 15;
constexpr Index kFloatsOfANearby = Index{1} << 12;
constexpr Index kPanelsBetweenLooks = 16;  // panels between stop checks

std::uint32_t MagnitudeBits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits & 0x7FFFFFFFU;
}

float Inverse(float scale) { return scale > 0 ? 1 / scale : 0; }

// The bits of the largest magnitude; those of an infinity or a NaN are above all others.
std::uint32_t LargestBits(const float* values, Index count) {
  std::uint32_t largest = 0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, MagnitudeBits(values[i]));
  return largest;
}

const float* Row(const GemmRows& a, Index row) {
  if (a.rows_per_line == 0) return a.data + row * a.row_stride;
  const Index line = row / a.rows_per_line;
  return a.data + row % a.rows_per_line * a.row_stride + line % a.lines_per_image * a.line_stride +
         line / a.lines_per_image * a.image_stride;
}

double Multiplications(const GemmProblem& problem, const PackedWeights& weights) {
  return static_cast<double>(problem.rows * weights.columns()) * static_cast<double>(weights.depth());
}

// One thread's part of a product: some tiles of rows, some panels of columns.
class Part {
 public:
  Part(const GemmProblem& problem, const PackedWeights& weights)
      : problem_(problem), weights_(weights), stop_(TakesLong(problem, weights) ? problem.stop : nullptr) {
    const GemmKernel& kernel = weights.kernel();
    strip_.alpha = problem.alpha;
    strip_.c_stride = problem.c_stride;
    strip_.tile_rows = TileRows(kernel, problem.a.row_stride);
    copies_ = problem.a.rows_per_line != 0 || kernel.round != nullptr;
    const bool few = weights.steps() * weights.columns() <= kFewWeights;
    const Index floats = few ? kFloatsOfANearby : kFloatsOfA;
    max_rows_ = std::max<Index>(floats / weights.depth_block() / kernel.tile_rows, 1) * kernel.tile_rows;
  }

  void Run(Index first_row, Index end_row, Index first_panel, Index end_panel) {
    const Index blocks = DivideUp(end_row - first_row, max_rows_);
    for (Index i = 0, row = first_row; i < blocks; ++i) {
      const Index end = first_row + (end_row - first_row) * (i + 1) / blocks;
      // A product of depth 0 still has a bias.
      for (Index step = 0; step == 0 || step < weights_.steps(); step += weights_.depth_block()) {
        RunBlock(row, end - row, step, first_panel, end_panel);
      }
      row = end;
    }
  }

 private:
  void RunBlock(Index row, Index rows, Index step, Index first_panel, Index end_panel) {
    strip_.rows = rows;
    strip_.depth = std::min(weights_.depth_block(), weights_.steps() - step);
    strip_.a = Row(problem_.a, row) + step;
    strip_.a_stride = problem_.a.row_stride;
    if (copies_) Copy(row, step);
    const bool first = step == 0;
    const bool last = step + strip_.depth == weights_.steps();
    // If the addend is `c` itself, it is read before it is overwritten.
    const float* addend = first ? problem_.addend : problem_.c;
    strip_.addend_stride = problem_.c_stride;
    strip_.activation = last ? problem_.activation : Activation::kNone;
    const Index width = weights_.panel_width();
    for (Index panel = first_panel; panel < end_panel; ++panel) {
      if ((panel - first_panel) % kPanelsBetweenLooks == 0 && IsStopped(stop_)) return;
      const Index column = panel * width;
      const Index at = row * problem_.c_stride + column;
      strip_.weights = weights_.Panel(step, panel);
      strip_.next = strip_.weights + strip_.depth * width;
      strip_.scales = weights_.Scales(panel);
      strip_.sums = weights_.Sums(step, panel);
      strip_.bias = last && problem_.bias != nullptr ? problem_.bias + column : nullptr;
      strip_.addend = addend == nullptr ? nullptr : addend + at;
      strip_.c = problem_.c + at;
      strip_.columns = std::min(width, weights_.columns() - column);
      weights_.kernel().strip(strip_);
    }
  }

  void Copy(Index row, Index first) {
    constexpr Index kLine = 16;
    const GemmKernel& kernel = weights_.kernel();
    const Index step = RoundUp(strip_.depth, kLine) + kLine;
    const Index depth = first * kernel.numbers;
    const Index count = std::min(strip_.depth * kernel.numbers, weights_.depth() - depth);
    float* const room = ThreadRoom(strip_.rows * step + kLine) + kLine;
    for (Index i = 0; i < strip_.rows; ++i) {
      const float* from = Row(problem_.a, row + i) + depth;
      if (kernel.round != nullptr) {
        kernel.round(from, count, room + i * step);
      } else {
        std::memcpy(room + i * step, from, static_cast<std::size_t>(count) * sizeof(float));
      }
    }
    strip_.a = room;
    strip_.a_stride = step;
    strip_.tile_rows = kernel.tile_rows;
  }

  const GemmProblem& problem_;
  const PackedWeights& weights_;
  const Stop* const stop_;
  bool copies_;
  Index max_rows_;
  GemmStrip strip_{};
};

// The share of useful work in the time of the slowest of `threads`.
double Balance(Index units, Index threads) {
  return static_cast<double>(units) / static_cast<double>(DivideUp(units, threads) * threads);
}

}  // namespace

PackedWeights::PackedWeights(const GemmKernel& kernel, const float* weights, bool transposed, Index depth,
                             Index columns, const ForParts& run)
    : kernel_(kernel),
      depth_(depth),
      columns_(columns),
      steps_(DivideUp(depth, kernel.numbers)),
      panel_width_(Index{kernel.lanes} * kernel.panel_vectors) {
  const Index lanes = kernel.lanes;
  const bool integers = kernel.round_weights != nullptr;
  const Index blocks =
      std::max<Index>(DivideUp(steps_, integers ? kMaxNumbers / kernel.numbers : kMaxDepth), 1);
  depth_block_ = RoundUp(std::max<Index>(DivideUp(steps_, blocks), 1), integers ? 64 / kernel.numbers : 16);
  padded_ = RoundUp(columns, lanes);
  if (integers) {
    scales_ = Floats(padded_);
    sums_.resize(static_cast<std::size_t>(blocks * padded_));
    const double cost = kNsPerRead * static_cast<double>(kScaledColumns * depth);
    run(DivideUp(columns, kScaledColumns), cost, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) Scale(weights, transposed, i * kScaledColumns);
    });
  }
  data_ = Floats(padded_ * steps_, false);
  const Index count = DivideUp(steps_, depth_block_) * panels();
  const double cost = kNsPerPacked * static_cast<double>(panel_width_ * std::min(depth_block_, steps_));
  run(count, cost, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) Pack(weights, transposed, i / panels() * depth_block_, i % panels());
  });
}

void PackedWeights::Scale(const float* weights, bool transposed, Index first) {
  const Index count = std::min(kScaledColumns, columns_ - first);
  std::uint32_t largest[kScaledColumns] = {};
  if (transposed) {
    for (Index j = 0; j < count; ++j) largest[j] = LargestBits(weights + (first + j) * depth_, depth_);
  } else {
    for (Index k = 0; k < depth_; ++k) {
      const float* row = weights + k * columns_ + first;
      for (Index j = 0; j < count; ++j) largest[j] = std::max(largest[j], MagnitudeBits(row[j]));
    }
  }
  for (Index j = 0; j < count; ++j) {
    float most = 0;
    std::memcpy(&most, &largest[j], sizeof(most));
    // An infinity or a NaN remains, and a column of zeros times it is NaN. The inverse of a subnormal number
    // may be an infinity.
    const float scale = most / 127;
    scales_.get()[first + j] = scale < std::numeric_limits<float>::min() ? 0 : scale;
  }
}

void PackedWeights::Pack(const float* weights, bool transposed, Index begin, Index panel) {
  const Index end = std::min(begin + depth_block_, steps_), first = panel * panel_width_;
  const Index width = std::min(panel_width_, padded_ - first);
  const Index whole = std::min(width, columns_ - first);
  float* packed = data_.get() + begin * padded_ + first * (end - begin);
  if (kernel_.round == nullptr && !transposed && whole == width) {
    for (Index k = begin; k < end; ++k, packed += width)
      std::memcpy(packed, weights + k * columns_ + first, static_cast<std::size_t>(width) * sizeof(float));
    return;
  }
  std::vector<float> inverses;  // of the scale of each number's column
  std::int32_t* sums = nullptr;
  if (kernel_.round_weights != nullptr) {
    for (Index j = 0; j < whole; ++j)
      inverses.insert(inverses.end(), kernel_.numbers, Inverse(Scales(panel)[j]));
    sums = sums_.data() + begin / depth_block_ * padded_ + first;
  }
  // Words of one step: each column has as many numbers as a word holds.
  std::vector<float> numbers(static_cast<std::size_t>(panel_width_ * kernel_.numbers));
  for (Index step = begin; step < end; ++step, packed += width) {
    if (whole < width || (step + 1) * kernel_.numbers > depth_)
      std::fill(numbers.begin(), numbers.end(), 0.0F);
    for (Index i = 0; i < kernel_.numbers && step * kernel_.numbers + i < depth_; ++i) {
      const Index k = step * kernel_.numbers + i;
      const float* from = transposed ? weights + first * depth_ + k : weights + k * columns_ + first;
      const Index stride = transposed ? depth_ : 1;
      if (!transposed && k + kRowsAhead < depth_) {
        for (Index j = 0; j < whole; j += 16) __builtin_prefetch(from + kRowsAhead * columns_ + j);
      }
      float* to = numbers.data() + i;
      for (Index j = 0; j < whole; ++j) to[j * kernel_.numbers] = from[j * stride];
    }
    if (kernel_.round_weights != nullptr) {
      for (std::size_t i = 0; i < inverses.size(); ++i) numbers[i] *= inverses[i];
      kernel_.round_weights(numbers.data(), width, packed, sums);
    } else if (kernel_.round != nullptr) {
      kernel_.round(numbers.data(), width * kernel_.numbers, packed);
    } else {
      std::memcpy(packed, numbers.data(), static_cast<std::size_t>(width) * sizeof(float));
    }
  }
}

const float* PackedWeights::Panel(Index step, Index panel) const {
  return data_.get() + step * padded_ + panel * panel_width_ * std::min(depth_block_, steps_ - step);
}

const float* PackedWeights::Scales(Index panel) const {
  return scales_.get() == nullptr ? nullptr : scales_.get() + panel * panel_width_;
}

const std::int32_t* PackedWeights::Sums(Index step, Index panel) const {
  return sums_.empty() ? nullptr : sums_.data() + step / depth_block_ * padded_ + panel * panel_width_;
}

// Rounding a row takes as long as its int8 products with some 30 columns.
bool Int8Pays(Index depth, Index columns, bool winograd) {
  const std::string_view name = Int8GemmKernels().back().name;
  const bool vnni = name == "avx512vnni" || name == "avxvnni";
  if (winograd) return vnni && columns >= 64;
  return depth >= 64 && columns >= (vnni || name == "generic" ? 64 : 128);
}

bool AllFinite(const float* values, Index count) {
  return LargestBits(values, count) < MagnitudeBits(std::numeric_limits<float>::infinity());
}

bool TakesLong(const GemmProblem& problem, const PackedWeights& weights) {
  return Multiplications(problem, weights) > kNsBetweenLooks * kMultiplicationsPerNs;
}

void GemmPanels(const GemmProblem& problem, const PackedWeights& weights, Index first, Index end) {
  Part(problem, weights).Run(0, problem.rows, first, end);
}

void Gemm(const GemmProblem& problem, const PackedWeights& weights, int threads, const ForParts& run) {
  const Index panels = weights.panels();
  if (threads < 2) return Part(problem, weights).Run(0, problem.rows, 0, panels);
  // Splits the larger factor, so that each thread reads a part of it, unless that leaves threads idle.
  const Index tiles = DivideUp(problem.rows, weights.kernel().tile_rows);
  // Prefer rows if they are rounded, so that each is rounded once.
  const double preferred = weights.kernel().round != nullptr  ? 0.2
                           : problem.rows > weights.columns() ? 0.1
                                                              : 0;
  const double by_rows = Balance(tiles, threads) + preferred;
  const bool rows = by_rows > Balance(panels, threads);
  const Index units = rows ? tiles : panels;
  const double cost = Multiplications(problem, weights) / kMultiplicationsPerNs /
                      static_cast<double>(std::max<Index>(units, 1));
  run(units, cost, [&](Index first, Index end) {
    Part part(problem, weights);
    if (rows) {
      part.Run(problem.rows * first / units, problem.rows * end / units, 0, panels);
    } else {
      part.Run(0, problem.rows, first, end);
    }
  });
}

}  // namespace savedmodel::engine
