// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/ops/constant_cache.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

tf::Tensor Filled(std::int64_t count, float value) {
  tf::Tensor tensor(tf::DT_FLOAT, {count});
  tensor.flat<float>().setConstant(value);
  return tensor;
}

template <typename T>
struct Sized {
  T value;
  std::size_t bytes() const { return 100; }
};

template <typename T>
std::shared_ptr<const Sized<T>> Made(T value) {
  return std::make_shared<const Sized<T>>(Sized<T>{value});
}

TEST(ConstantCache, IsMadeOnceOfOneBuffer) {
  const std::size_t before = CountCachedConstants();
  const tf::Tensor weights = Filled(8, 1), others = Filled(8, 1);
  int made = 0;
  const auto make = [&] { return Made<int>(++made); };
  {
    ConstantCache<Sized<int>> first, second, third, fourth;
    const auto packed = first.Get(weights, {1, 2}, make);
    EXPECT_EQ(second.Get(weights, {1, 2}, make), packed);
    EXPECT_EQ(first.Get(weights, {1, 2}, make), packed);
    EXPECT_EQ(made, 1);
    EXPECT_NE(third.Get(weights, {1, 3}, make), packed) << "another layout";
    EXPECT_NE(fourth.Get(others, {1, 2}, make), packed) << "another buffer";
    EXPECT_EQ(CountCachedConstants(), before + 3);
    EXPECT_EQ(BytesOfCachedConstants({weights.data()}), 200U);
    EXPECT_EQ(BytesOfCachedConstants({weights.data(), others.data()}), 300U);
    ConstantCache<Sized<long>> other_type;
    EXPECT_EQ(other_type.Get(weights, {1, 2}, [] { return Made<long>(7); })->value, 7);
  }
  EXPECT_EQ(CountCachedConstants(), before) << "nobody uses them any more";
  EXPECT_EQ(BytesOfCachedConstants({weights.data(), others.data()}), 0U);
  ConstantCache<Sized<int>> again;
  again.Get(weights, {1, 2}, make);
  EXPECT_EQ(made, 4);
}

TEST(ConstantCache, AnInputThatChangesIsMadeAnew) {
  ConstantCache<Sized<float>> made;
  const auto make = [](const tf::Tensor& of) { return [of] { return Made<float>(of.flat<float>()(0)); }; };
  const tf::Tensor one = Filled(4, 1), two = Filled(4, 2);
  EXPECT_EQ(made.Get(one, {}, make(one))->value, 1);
  EXPECT_EQ(made.Get(two, {}, make(two))->value, 2);
  EXPECT_EQ(made.Get(one, {}, make(one))->value, 1);
}

TEST(ConstantCache, ThreadsMakeItOnce) {
  const tf::Tensor weights = Filled(8, 1);
  std::atomic<int> made{0};
  std::vector<ConstantCache<Sized<int>>> kernels(8);
  std::vector<std::shared_ptr<const Sized<int>>> results(kernels.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    threads.emplace_back(
        [&, i] { results[i] = kernels[i].Get(weights, {}, [&] { return Made<int>(++made); }); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST(ConstantCache, WhatCouldNotBeMadeIsTriedAgain) {
  const std::size_t before = CountCachedConstants();
  const tf::Tensor weights = Filled(8, 1);
  const auto fail = []() -> std::shared_ptr<const Sized<int>> { throw std::runtime_error("no memory"); };
  {
    ConstantCache<Sized<int>> kernel;
    EXPECT_THROW(kernel.Get(weights, {}, fail), std::runtime_error);
    EXPECT_EQ(kernel.Get(weights, {}, [] { return Made<int>(3); })->value, 3);
  }
  EXPECT_EQ(CountCachedConstants(), before);
}

}  // namespace
}  // namespace savedmodel::engine
