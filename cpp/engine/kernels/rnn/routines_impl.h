// SPDX-License-Identifier: Apache-2.0
// The routines for vectors of SAVEDMODEL_RNN_VECTOR floats; included once by each instruction set's file.
#pragma once

#include "engine/kernels/rnn/routines.h"

namespace savedmodel::engine::rnn {
namespace {

constexpr Index kVector = SAVEDMODEL_RNN_VECTOR;
constexpr Index kBlock = kVector * kVectorsPerBlock;
constexpr int kAccumulators = SAVEDMODEL_RNN_ACCUMULATORS;  // vectors that registers hold beside operands

// Not memcpy: GCC 12 builds unaligned vectors out of scalars with it under -mavx2.
typedef float Vector __attribute__((vector_size(kVector * sizeof(float)), aligned(4), may_alias));
typedef std::int32_t Integers __attribute__((vector_size(kVector * sizeof(float)), aligned(4), may_alias));

inline Vector Load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void Store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
inline Vector Broadcast(float x) { return x - Vector{}; }
// NaN stays.
inline Vector Clamp(Vector x, float limit) {
  x = x < Broadcast(-limit) ? Broadcast(-limit) : x;
  return x > Broadcast(limit) ? Broadcast(limit) : x;
}

// exp(x) = scale * (1 + rest), |rest| < 0.42; |x| <= 88. exp(x) - 1 is as exact as exp(x): rest * scale +
// (scale - 1).
struct Exponential {
  explicit Exponential(Vector x) {
    const float round = 12582912.0F;  // 1.5 * 2^23: the sum's last bits are an integer
    const Vector sum = x * 1.44269504F + round;
    const Vector n = sum - round;
    const Vector r = x - n * 0.693359375F - n * -2.12194440e-4F;  // log(2) in two parts
    Vector p = r * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    rest = p * (r * r) + r;
    scale = reinterpret_cast<Vector>((reinterpret_cast<Integers>(sum) - (0x4B400000 - 127)) << 23);
  }
  Vector Value() const { return rest * scale + scale; }
  Vector MinusOne() const { return rest * scale + (scale - 1.0F); }
  Vector rest, scale;
};

inline Vector OnePlusExpOfMinus(Vector x) { return 1.0F + Exponential(Clamp(-x, 88.0F)).Value(); }
// exp(2x) - 1; tanh(x) is m / (m + 2), and rounds to 1 from x = 9.1 on.
inline Vector ExpTwiceMinusOne(Vector x) { return Exponential(Clamp(x + x, 20.0F)).MinusOne(); }

inline Vector Sigmoid(Vector x) { return 1.0F / OnePlusExpOfMinus(x); }
inline Vector Tanh(Vector x) {
  const Vector m = ExpTwiceMinusOne(x);
  return m / (m + 2.0F);
}
// With one division.
inline Vector SigmoidTimesTanh(Vector a, Vector b) {
  const Vector m = ExpTwiceMinusOne(b);
  return m / (OnePlusExpOfMinus(a) * (m + 2.0F));
}

// A product's tile: R rows, G gates, S vectors of a block's units.
template <int R, int G, int S>
struct Tile {
  Vector v[R][G][S];

  // From packed memory at the tile's first vector.
  void Read(int r, const float* p) {
    for (int g = 0; g < G; ++g) {
      for (int s = 0; s < S; ++s) v[r][g][s] = Load(p + g * kBlock + s * kVector);
    }
  }
  void Clear() {
    for (auto& row : v) {
      for (auto& gate : row) {
        for (auto& vector : gate) vector = Vector{};
      }
    }
  }
  // Adds rows `a` times a packed block, where `w` is the tile's first vector in the block's first row.
  inline __attribute__((always_inline)) void AddProduct(const float* const (&a)[R], const float* w,
                                                        Index depth, bool backwards) {
    const Index by = backwards ? -1 : 1;
    Index k = backwards ? depth - 1 : 0;
    w += k * G * kBlock;
    for (Index i = 0; i < depth; ++i, k += by, w += by * G * kBlock) {
      Vector b[G][S];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
#pragma GCC unroll 2
        for (int s = 0; s < S; ++s) b[g][s] = Load(w + g * kBlock + s * kVector);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vector x = Broadcast(a[r][k]);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
#pragma GCC unroll 2
          for (int s = 0; s < S; ++s) v[r][g][s] += x * b[g][s];
        }
      }
    }
  }
};

inline Index Padded(Index units) { return (units + kBlock - 1) / kBlock * kBlock; }

// More rows than these would not fit into the registers.
template <int G>
constexpr int kMaxRows = kAccumulators / G < 8 ? kAccumulators / G : 8;

template <int N>
struct Rows {
  static constexpr int value = N;
};
template <int N>
struct Vectors {
  static constexpr int value = N;
};

// Calls body(Rows<R>, first) for all rows, R at a time while that many are left.
template <int R, typename Body>
inline void ForRows(Index first, Index rows, const Body& body) {
  for (; first + R <= rows; first += R) body(Rows<R>(), first);
  if constexpr (R > 1) ForRows<R - 1>(first, rows, body);
}

// Calls body(Rows, Vectors, first row, block, first vector) for all tiles of G gates; a block's weights are
// used for all rows before the next ones are read.
template <int G, typename Body>
inline void ForTiles(Index rows, Index units, Index begin, Index end, bool backwards, const Body& body) {
  for (Index i = begin; i < end; ++i) {
    const Index block = backwards ? end - 1 - (i - begin) : i;
    const bool half = block * kBlock + kVector >= units;  // nothing but padding in the second vector
    if (rows == 1 && !half) {
      body(Rows<1>(), Vectors<2>(), Index{0}, block, Index{0});
      continue;
    }
    for (Index s = 0; s < (half ? 1 : 2); ++s) {
      ForRows<kMaxRows<G>>(0, rows, [&](auto r, Index first) { body(r, Vectors<1>(), first, block, s); });
    }
  }
}

template <int R, int G, int S>
inline Tile<R, G, S> RecurrentProduct(Tile<R, G, S> tile, const float* h, const float* w, const Step& step,
                                      Index first, Index block, Index s) {
  const Index stride = Padded(step.units);
  const float* rows[R];
  for (int r = 0; r < R; ++r) rows[r] = h + (first + r) * stride;
  tile.AddProduct(rows, w + block * step.units * G * kBlock + s * kVector, step.units, step.backwards);
  return tile;
}

template <int G>
void ProjectGates(const Projection& p) {
  const Index row = Padded(p.units) * G;
  ForTiles<G>(p.rows, p.units, p.begin, p.end, false,
              [&](auto rows, auto vectors, Index first, Index block, Index s) {
                constexpr int R = decltype(rows)::value, S = decltype(vectors)::value;
                const float* x[R];
                Tile<R, G, S> tile;
                for (int r = 0; r < R; ++r) {
                  const Index i = first + r;
                  x[r] = p.x + (i / p.batch) * p.x_step + (i % p.batch) * p.x_row;
                  tile.Read(r, p.bias + block * G * kBlock + s * kVector);
                }
                tile.AddProduct(x, p.kernel + block * p.inputs * G * kBlock + s * kVector, p.inputs, false);
                for (int r = 0; r < R; ++r) {
                  float* out = p.projected + (first + r) * row + block * G * kBlock + s * kVector;
                  for (int g = 0; g < G; ++g) {
                    for (int v = 0; v < S; ++v) Store(out + g * kBlock + v * kVector, tile.v[r][g][v]);
                  }
                }
              });
}

void Project(const Projection& p, int gates) { gates == 4 ? ProjectGates<4>(p) : ProjectGates<3>(p); }

void Lstm(const Step& step) {
  const Index stride = Padded(step.units);
  ForTiles<4>(step.rows, step.units, step.begin, step.end, step.backwards,
              [&](auto rows, auto vectors, Index first, Index block, Index s) {
                constexpr int R = decltype(rows)::value, S = decltype(vectors)::value;
                Tile<R, 4, S> tile;
                for (int r = 0; r < R; ++r) {
                  tile.Read(r, step.projected + ((first + r) * stride + block * kBlock) * 4 + s * kVector);
                }
                tile = RecurrentProduct(tile, step.h, step.recurrent, step, first, block, s);
                for (int r = 0; r < R; ++r) {
                  for (int v = 0; v < S; ++v) {
                    const Index at = (first + r) * stride + block * kBlock + (s + v) * kVector;
                    const auto& gates = tile.v[r];
                    const Vector c =
                        Sigmoid(gates[1][v]) * Load(step.c + at) + SigmoidTimesTanh(gates[0][v], gates[2][v]);
                    Store(step.c + at, c);
                    Store(step.next + at, SigmoidTimesTanh(gates[3][v], c));
                  }
                }
              });
}

void GruResetAfter(const Step& step) {
  const Index stride = Padded(step.units);
  ForTiles<3>(step.rows, step.units, step.begin, step.end, step.backwards,
              [&](auto rows, auto vectors, Index first, Index block, Index s) {
                constexpr int R = decltype(rows)::value, S = decltype(vectors)::value;
                Tile<R, 3, S> tile;
                for (int r = 0; r < R; ++r) tile.Read(r, step.bias + block * 3 * kBlock + s * kVector);
                tile = RecurrentProduct(tile, step.h, step.recurrent, step, first, block, s);
                for (int r = 0; r < R; ++r) {
                  for (int v = 0; v < S; ++v) {
                    const float* x =
                        step.projected + ((first + r) * stride + block * kBlock) * 3 + (s + v) * kVector;
                    const Index at = (first + r) * stride + block * kBlock + (s + v) * kVector;
                    const auto& gates = tile.v[r];
                    const Vector z = Sigmoid(Load(x) + gates[0][v]);
                    const Vector reset = Sigmoid(Load(x + kBlock) + gates[1][v]);
                    const Vector n = Tanh(Load(x + 2 * kBlock) + reset * gates[2][v]);
                    Store(step.next + at, z * Load(step.h + at) + (1.0F - z) * n);
                  }
                }
              });
}

void GruGates(const Step& step) {
  const Index stride = Padded(step.units);
  ForTiles<2>(step.rows, step.units, step.begin, step.end, step.backwards,
              [&](auto rows, auto vectors, Index first, Index block, Index s) {
                constexpr int R = decltype(rows)::value, S = decltype(vectors)::value;
                Tile<R, 2, S> tile;
                for (int r = 0; r < R; ++r) {
                  tile.Read(r, step.projected + ((first + r) * stride + block * kBlock) * 3 + s * kVector);
                }
                tile = RecurrentProduct(tile, step.h, step.recurrent, step, first, block, s);
                for (int r = 0; r < R; ++r) {
                  for (int v = 0; v < S; ++v) {
                    const Index at = (first + r) * stride + block * kBlock + (s + v) * kVector;
                    Store(step.z + at, Sigmoid(tile.v[r][0][v]));
                    Store(step.reset_h + at, Sigmoid(tile.v[r][1][v]) * Load(step.h + at));
                  }
                }
              });
}

void GruCandidate(const Step& step) {
  const Index stride = Padded(step.units);
  ForTiles<1>(step.rows, step.units, step.begin, step.end, step.backwards,
              [&](auto rows, auto vectors, Index first, Index block, Index s) {
                constexpr int R = decltype(rows)::value, S = decltype(vectors)::value;
                Tile<R, 1, S> tile;
                for (int r = 0; r < R; ++r) {
                  const Index at = ((first + r) * stride + block * kBlock) * 3 + 2 * kBlock;
                  tile.Read(r, step.projected + at + s * kVector);
                }
                tile = RecurrentProduct(tile, step.reset_h, step.candidate, step, first, block, s);
                for (int r = 0; r < R; ++r) {
                  for (int v = 0; v < S; ++v) {
                    const Index at = (first + r) * stride + block * kBlock + (s + v) * kVector;
                    const Vector z = Load(step.z + at);
                    Store(step.next + at, z * Load(step.h + at) + (1.0F - z) * Tanh(tile.v[r][0][v]));
                  }
                }
              });
}

constexpr Routines kRoutines = {kVector, Project, Lstm, GruResetAfter, GruGates, GruCandidate};

}  // namespace
}  // namespace savedmodel::engine::rnn
