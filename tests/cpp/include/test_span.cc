// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/span.h"

namespace savedmodel {
namespace {

int Sum(Span<const int> numbers) {
  int sum = 0;
  for (const int number : numbers) sum += number;
  return sum;
}

TEST(Span, IsMadeOfWhatLiesInARow) {
  const int array[] = {1, 2, 3};
  const std::vector<int> vector{4, 5};
  EXPECT_EQ(Sum(array), 6);
  EXPECT_EQ(Sum(vector), 9);
  EXPECT_EQ(Sum(std::vector<int>{6}), 6);
  EXPECT_EQ(Sum(std::array<int, 2>{7, 8}), 15);
  EXPECT_EQ(Sum({array, 2}), 3);
  EXPECT_EQ(Sum(Span<const int>()), 0);
  EXPECT_TRUE(Span<const int>().empty());
}

TEST(Span, WritesThrough) {
  std::vector<int> vector{1, 2};
  const Span<int> span = vector;
  span[1] = 5;
  EXPECT_EQ(vector[1], 5);
  const Span<const int> reader = span;
  EXPECT_EQ(reader.data(), vector.data());
  EXPECT_EQ(reader.size(), 2U);
}

TEST(Span, RefusesWhatItWouldMisread) {
  struct Base {};
  struct Derived : Base {};
  EXPECT_FALSE((std::is_convertible_v<const std::vector<int>&, Span<int>>));
  EXPECT_FALSE((std::is_convertible_v<std::vector<int>&, Span<const long>>));
  EXPECT_FALSE((std::is_convertible_v<std::vector<Derived>&, Span<const Base>>));
  EXPECT_FALSE((std::is_convertible_v<std::vector<bool>&, Span<bool>>));
  EXPECT_FALSE((std::is_convertible_v<std::string&, Span<int>>));
}

}  // namespace
}  // namespace savedmodel
