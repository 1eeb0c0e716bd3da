// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/routines.h"
#include "engine/kernels/simd/math.inc"

#define SAVEDMODEL_INLINE inline __attribute__((always_inline))

namespace savedmodel::engine::SAVEDMODEL_ISA {
namespace {

using rnn::Index;
using rnn::Projection;
using rnn::Step;

constexpr Index kBlock = kLanes * rnn::kVectorsPerBlock;

inline Index Padded(Index units) { return (units + kBlock - 1) / kBlock * kBlock; }

// More rows would not fit into the registers.
template <int G>
constexpr int kMaxRows = kAccumulators / G < 8 ? kAccumulators / G : 8;

// A matrix product with packed rows of G gates, for the blocks [begin, end) of the units.
struct Product {
  Index rows, units, depth, begin, end;
  const float* weights;  // packed
  bool backwards;        // from the last block and the last of `depth` down
};

// A tile of a product: R rows, G gates, S vectors of a block's units.
template <int R, int G, int S>
struct Tile {
  Vec v[R][G][S];

  // Adds rows `a` times a packed block, where `w` is the tile's first vector in the block's first row.
  SAVEDMODEL_INLINE void Add(const float* const (&a)[R], const float* w, Index depth, bool backwards) {
    const Index by = backwards ? -1 : 1;
    Index k = backwards ? depth - 1 : 0;
    w += k * G * kBlock;
    for (Index i = 0; i < depth; ++i, k += by, w += by * G * kBlock) {
      Vec b[G][S];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
#pragma GCC unroll 2
        for (int s = 0; s < S; ++s) b[g][s] = Load(w + g * kBlock + s * kLanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vec x = Broadcast(a[r][k]);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
#pragma GCC unroll 2
          for (int s = 0; s < S; ++s) v[r][g][s] += x * b[g][s];
        }
      }
    }
  }
};

// Computes the tile of R rows from `first` on, S vectors of `block` from `vector` on. See ForProduct.
template <int R, int G, int S, typename Row, typename Start, typename Finish>
SAVEDMODEL_INLINE void ForTile(const Product& p, Index first, Index block, Index vector, const Row& row,
                               const Start& start, const Finish& finish) {
  const Index stride = Padded(p.units);
  Tile<R, G, S> tile;
  const float* a[R];
  for (int r = 0; r < R; ++r) {
    a[r] = row(first + r);
    const float* from = start(block, (first + r) * stride + block * kBlock) + vector * kLanes;
    for (int g = 0; g < G; ++g) {
      for (int s = 0; s < S; ++s) tile.v[r][g][s] = Load(from + g * kBlock + s * kLanes);
    }
  }
  tile.Add(a, p.weights + block * p.depth * G * kBlock + vector * kLanes, p.depth, p.backwards);
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) {
      Vec sums[G];
      for (int g = 0; g < G; ++g) sums[g] = tile.v[r][g][s];
      finish((first + r) * stride + block * kBlock, (vector + s) * kLanes, sums);
    }
  }
}

// All rows, R at a time while at least R are left.
template <int R, int G, typename Row, typename Start, typename Finish>
SAVEDMODEL_INLINE void ForRows(const Product& p, Index first, Index block, Index vector, const Row& row,
                               const Start& start, const Finish& finish) {
  for (; first + R <= p.rows; first += R) ForTile<R, G, 1>(p, first, block, vector, row, start, finish);
  if constexpr (R > 1) ForRows<R - 1, G>(p, first, block, vector, row, start, finish);
}

// Row i of a product is start + row(i) * weights. `start(block, at)` points to the initial sums of the block,
// packed. finish(at, lane, sums) receives the sums, a vector for each gate: `at` is the block's first unit in
// rows of units, and `lane` is the vector's position in the block. Each block's weights are used for all
// rows.
template <int G, typename Row, typename Start, typename Finish>
SAVEDMODEL_INLINE void ForProduct(const Product& p, const Row& row, const Start& start,
                                  const Finish& finish) {
  for (Index i = p.begin; i < p.end; ++i) {
    const Index block = p.backwards ? p.end - 1 - (i - p.begin) : i;
    const bool half = block * kBlock + kLanes >= p.units;  // the second vector contains only padding
    if (p.rows == 1 && !half) {
      ForTile<1, G, 2>(p, 0, block, 0, row, start, finish);
      continue;
    }
    for (Index vector = 0; vector < (half ? 1 : 2); ++vector) {
      ForRows<kMaxRows<G>, G>(p, 0, block, vector, row, start, finish);
    }
  }
}

template <int G>
void ProjectGates(const Projection& p) {
  const auto row = [&](Index i) { return p.x + (i / p.batch) * p.x_stride + (i % p.batch) * p.x_row; };
  const auto start = [&](Index block, Index) { return p.bias + block * G * kBlock; };
  ForProduct<G>({p.rows, p.units, p.inputs, p.begin, p.end, p.kernel, false}, row, start,
                [&](Index at, Index lane, const Vec(&sums)[G]) {
                  float* out = p.projected + at * G + lane;
                  for (int g = 0; g < G; ++g) Store(out + g * kBlock, sums[g]);
                });
}

void Project(const Projection& p, int gates) { gates == 4 ? ProjectGates<4>(p) : ProjectGates<3>(p); }

// Multiplies h, or its substitute, with recurrent weights.
template <int G, typename Start, typename Finish>
SAVEDMODEL_INLINE void ForRecurrent(const Step& step, const float* h, const float* weights,
                                    const Start& start, const Finish& finish) {
  const Index stride = Padded(step.units);
  ForProduct<G>(
      {step.rows, step.units, step.units, step.begin, step.end, weights, step.backwards},
      [&](Index i) { return h + i * stride; }, start, finish);
}

void Lstm(const Step& step) {
  ForRecurrent<4>(
      step, step.h, step.recurrent, [&](Index, Index at) { return step.projected + at * 4; },
      [&](Index at, Index lane, const Vec(&gates)[4]) {
        const Index unit = at + lane;
        const Vec c = Sigmoid(gates[1]) * Load(step.c + unit) + SigmoidTimesTanh(gates[0], gates[2]);
        Store(step.next_c + unit, c);
        Store(step.next + unit, SigmoidTimesTanh(gates[3], c));
      });
}

void GruResetAfter(const Step& step) {
  ForRecurrent<3>(
      step, step.h, step.recurrent, [&](Index block, Index) { return step.bias + block * 3 * kBlock; },
      [&](Index at, Index lane, const Vec(&gates)[3]) {
        const float* x = step.projected + at * 3 + lane;
        const Index unit = at + lane;
        const Vec z = Sigmoid(Load(x) + gates[0]);
        const Vec reset = Sigmoid(Load(x + kBlock) + gates[1]);
        const Vec n = Tanh(Load(x + 2 * kBlock) + reset * gates[2]);
        Store(step.next + unit, z * Load(step.h + unit) + (1.0F - z) * n);
      });
}

void GruGates(const Step& step) {
  ForRecurrent<2>(
      step, step.h, step.recurrent, [&](Index, Index at) { return step.projected + at * 3; },
      [&](Index at, Index lane, const Vec(&gates)[2]) {
        const Index unit = at + lane;
        Store(step.z + unit, Sigmoid(gates[0]));
        Store(step.reset_h + unit, Sigmoid(gates[1]) * Load(step.h + unit));
      });
}

void GruCandidate(const Step& step) {
  ForRecurrent<1>(
      step, step.reset_h, step.candidate,
      [&](Index, Index at) { return step.projected + at * 3 + 2 * kBlock; },
      [&](Index at, Index lane, const Vec(&gates)[1]) {
        const Index unit = at + lane;
        const Vec z = Load(step.z + unit);
        Store(step.next + unit, z * Load(step.h + unit) + (1.0F - z) * Tanh(gates[0]));
      });
}

}  // namespace

extern const rnn::Routines kRoutines;
const rnn::Routines kRoutines = {kLanes, Project, Lstm, GruResetAfter, GruGates, GruCandidate};

}  // namespace savedmodel::engine::SAVEDMODEL_ISA
