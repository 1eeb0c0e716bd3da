// SPDX-License-Identifier: Apache-2.0
// Attention in every instruction set of this machine, compared with sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/kernels/attention.h"
#include "engine/kernels/isa.h"
#include "tests/cpp/random_values.h"

namespace savedmodel::engine {
namespace {

using Index = std::int64_t;

struct Sizes {
  Index samples, heads, rows, columns, depth, value_depth;
};

class AttentionTest : public testing::TestWithParam<Isa> {
 protected:
  // Tensors are [sample, row, head, depth]; the mask is [sample, row, column], for all heads.
  void Expect(const Sizes& sizes, bool masked, Index parts) const {
    const auto [samples, heads, rows, columns, depth, value_depth] = sizes;
    const auto query = Random(samples * rows * heads * depth, 1);
    const auto key = Random(samples * columns * heads * depth, 2);
    const auto value = Random(samples * columns * heads * value_depth, 3);
    auto mask = Random(samples * rows * columns, 4);
    for (std::size_t i = 0; i < mask.size(); i += 3) {
      if (columns > 1 && i % static_cast<std::size_t>(columns) != 0)
        mask[i] = -std::numeric_limits<float>::infinity();
    }
    // One more element, to detect writes past the end.
    std::vector<float> out(static_cast<std::size_t>(samples * rows * heads * value_depth + 1), -7.5F);
    const AttentionProblem problem{
        {query.data(), rows * heads * depth, depth, heads * depth},
        {key.data(), columns * heads * depth, depth, heads * depth},
        {value.data(), columns * heads * value_depth, value_depth, heads * value_depth},
        {masked ? mask.data() : nullptr, rows * columns, 0, columns},
        samples,
        heads,
        rows,
        columns,
        depth,
        value_depth,
        0.3F,
        out.data(),
        rows * heads * value_depth,
        value_depth,
        heads * value_depth};
    const Index units = samples * heads * parts;
    Attend(GetParam(), problem, parts, 0, units / 2);
    Attend(GetParam(), problem, parts, units / 2, units);
    EXPECT_EQ(out.back(), -7.5F);
    const auto at = [](const std::vector<float>& of, Index i) {
      return static_cast<double>(of[static_cast<std::size_t>(i)]);
    };
    for (Index s = 0; s < samples; ++s) {
      for (Index h = 0; h < heads; ++h) {
        for (Index r = 0; r < rows; ++r) {
          std::vector<double> weights;
          double total = 0;
          for (Index c = 0; c < columns; ++c) {
            double score = 0;
            for (Index d = 0; d < depth; ++d) {
              score += at(query, ((s * rows + r) * heads + h) * depth + d) *
                       at(key, ((s * columns + c) * heads + h) * depth + d);
            }
            score = score * 0.3 + (masked ? at(mask, (s * rows + r) * columns + c) : 0);
            weights.push_back(std::exp(score));
            total += weights.back();
          }
          for (Index d = 0; d < value_depth; ++d) {
            double sum = 0;
            for (Index c = 0; c < columns; ++c) {
              sum += weights[static_cast<std::size_t>(c)] *
                     at(value, ((s * columns + c) * heads + h) * value_depth + d);
            }
            EXPECT_NEAR(at(out, ((s * rows + r) * heads + h) * value_depth + d), sum / total, 1e-5)
                << s << " " << h << " " << r << " " << d;
          }
        }
      }
    }
  }
};

TEST_P(AttentionTest, EverySize) {
  for (const Sizes& sizes : std::vector<Sizes>{{1, 1, 1, 1, 1, 1},
                                               {2, 3, 5, 7, 8, 9},
                                               {1, 2, 16, 16, 16, 16},
                                               {1, 2, 17, 33, 15, 40},
                                               {2, 1, 1, 50, 64, 64},    // one query at a time
                                               {1, 2, 3, 2100, 4, 33},   // more scores than are buffered
                                               {1, 1, 30, 1500, 3, 2},   // some rows at a time
                                               {1, 16, 40, 12, 64, 8}})  // rows 4 KB apart
  {
    for (const bool masked : {false, true}) Expect(sizes, masked, 1);
  }
}

TEST_P(AttentionTest, InParts) {
  for (const Index parts : {2, 3, 5}) Expect({1, 3, 31, 20, 8, 8}, true, parts);
}

TEST(PartsOfHead, AreNotSmall) {
  AttentionProblem problem{};
  problem.samples = 1;
  problem.heads = 2;
  problem.rows = 128;
  EXPECT_EQ(PartsOfHead(problem, 1), 1);
  EXPECT_EQ(PartsOfHead(problem, 4), 4);
  EXPECT_EQ(PartsOfHead(problem, 64), 4);  // of 32 rows
  problem.rows = 3;
  EXPECT_EQ(PartsOfHead(problem, 4), 1);
  problem.heads = 100;
  problem.rows = 128;
  EXPECT_EQ(PartsOfHead(problem, 4), 1);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, AttentionTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& isa) { return Name(isa.param); });

}  // namespace
}  // namespace savedmodel::engine
