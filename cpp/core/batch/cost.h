// SPDX-License-Identifier: Apache-2.0
// INTERNAL. How long batches of each size take, and what size pays best.
#pragma once

#include <array>
#include <cstddef>
#include <map>

namespace savedmodel::internal {

class BatchCost {
 public:
  // A batch of `rows` took so long.
  void Learn(std::size_t rows, double seconds);
  // Estimated; 0 if nothing is known.
  double Seconds(std::size_t rows) const;
  // Of `waiting` rows, as many as a batch should take: the fewest that are nearly as cheap, per row, as any
  // number of them.
  std::size_t Best(std::size_t waiting) const;
  // The time that one more row in a batch of so many saves over a run of its own, without what a thread needs
  // to hand over; 0 if it is hardly any, or not known.
  double Saving(std::size_t rows) const;
  std::map<std::size_t, double> Points() const;

 private:
  double Relative(std::size_t rows) const;

  // By power of two: a batch of more than half of it. The seconds are to be multiplied by `load_`.
  struct Point {
    double rows = 0, seconds = 0;  // none if 0
  };
  static constexpr std::size_t kPoints = 32;
  std::array<Point, kPoints> points_;
  double load_ = 1;  // by which other work makes batches of all sizes slower
};

}  // namespace savedmodel::internal
