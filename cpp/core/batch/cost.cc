// SPDX-License-Identifier: Apache-2.0
#include "core/batch/cost.h"

#include <algorithm>
#include <cmath>

namespace savedmodel::internal {
namespace {

// Steps towards the latest run lead to the median: runs whose thread lost its core count once, however long.
constexpr double kLoadStep = 1.05, kStep = 1.01;
constexpr double kPerRun = 5e-6;      // to hand results over and begin the next run
constexpr double kNearlyBest = 0.9;   // of the most rows per second
constexpr double kWorthwhile = 0.15;  // of a run's time

std::size_t PointOf(std::size_t rows) {
  std::size_t point = 0;
  while ((std::size_t{1} << point) < rows) ++point;
  return point;
}

}  // namespace

void BatchCost::Learn(std::size_t rows, double seconds) {
  if (rows == 0 || !(seconds > 0)) return;
  Point& point = points_[std::min(PointOf(rows), kPoints - 1)];
  const auto given = static_cast<double>(rows);
  if (point.rows == 0) {
    point = {given, seconds / load_};
    return;
  }
  const double usual = Relative(rows);
  load_ *= seconds > load_ * usual ? kLoadStep : 1 / kLoadStep;
  point.seconds *= seconds > load_ * usual ? kStep : 1 / kStep;
}

double BatchCost::Seconds(std::size_t rows) const { return load_ * Relative(rows); }

double BatchCost::Relative(std::size_t rows) const {
  const auto wanted = static_cast<double>(rows);
  const Point *below = nullptr, *above = nullptr, *before = nullptr;
  for (const Point& point : points_) {
    if (point.rows == 0) continue;
    if (point.rows <= wanted) {
      before = below;
      below = &point;
    } else if (above == nullptr) {
      above = &point;
    }
  }
  if (below == nullptr && above == nullptr) return 0;
  if (below == nullptr) return above->seconds;  // no smaller batch is known to be quicker
  if (above == nullptr) {
    if (before == nullptr) return below->seconds * wanted / below->rows;
    const double each = std::max((below->seconds - before->seconds) / (below->rows - before->rows), 0.0);
    return below->seconds + each * (wanted - below->rows);
  }
  const double share = (wanted - below->rows) / (above->rows - below->rows);
  return below->seconds + share * (above->seconds - below->seconds);
}

std::size_t BatchCost::Best(std::size_t waiting) const {
  if (waiting <= 1 || Seconds(1) == 0) return waiting;
  const auto rate = [this](std::size_t rows) {
    return static_cast<double>(rows) / (Seconds(rows) + kPerRun);
  };
  double highest = rate(waiting);
  for (std::size_t rows = 1; rows < waiting; rows *= 2) highest = std::max(highest, rate(rows));
  for (std::size_t rows = 1; rows < waiting; rows *= 2) {
    if (rate(rows) >= kNearlyBest * highest) return rows;
  }
  return waiting;
}

double BatchCost::Saving(std::size_t rows) const {
  const double more = std::max(Seconds(rows + 1) - Seconds(rows), 0.0);
  const double saved = Seconds(1) - more;
  return saved > kWorthwhile * Seconds(1) ? saved : 0;
}

std::map<std::size_t, double> BatchCost::Points() const {
  std::map<std::size_t, double> points;
  for (const Point& point : points_) {
    if (point.rows > 0) points[static_cast<std::size_t>(std::lround(point.rows))] = load_ * point.seconds;
  }
  return points;
}

}  // namespace savedmodel::internal
