// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "engine/graph/constants.h"
#include "engine/graph/shared_constants.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

tf::Tensor Filled(std::int64_t count, float value) {
  tf::Tensor tensor(tf::DT_FLOAT, {count});
  tensor.flat<float>().setConstant(value);
  return tensor;
}

constexpr std::int64_t kLarge = ConstantPool::kLarge / sizeof(float);

TEST(SharedConstants, EqualValuesBecomeOneBuffer) {
  SharedConstants shared;
  ConstantPool first, second;
  first.Append(Filled(kLarge, 1));
  second.Append(Filled(kLarge, 2));
  second.Append(Filled(kLarge, 1));
  tf::Tensor reshaped;
  ASSERT_TRUE(reshaped.CopyFrom(Filled(kLarge, 1), {2, kLarge / 2}));
  second.Append(reshaped);
  shared.Share(&first);
  shared.Share(&second);
  EXPECT_NE(second.values()[0].data(), first.values()[0].data());
  EXPECT_EQ(second.values()[1].data(), first.values()[0].data());
  EXPECT_EQ(second.values()[2].data(), first.values()[0].data());
  EXPECT_EQ(second.values()[2].shape(), tf::TensorShape({2, kLarge / 2}));
  EXPECT_EQ(second.values()[0].flat<float>()(kLarge - 1), 2);
  EXPECT_EQ(shared.size(), 2U);
}

TEST(SharedConstants, ValuesThatDifferInOneByteStayApart) {
  SharedConstants shared;
  ConstantPool first, second;
  first.Append(Filled(4 * kLarge, 1));
  tf::Tensor other = Filled(4 * kLarge, 1);
  other.flat<float>()(2 * kLarge) = 3;
  second.Append(other);
  shared.Share(&first);
  shared.Share(&second);
  EXPECT_NE(second.values()[0].data(), first.values()[0].data());
  EXPECT_EQ(second.values()[0].flat<float>()(2 * kLarge), 3);
}

TEST(SharedConstants, LetGoOfWhatNobodyHolds) {
  SharedConstants shared;
  {
    ConstantPool pool;
    pool.Append(Filled(kLarge, 1));
    shared.Share(&pool);
    shared.DropUnused();
    EXPECT_EQ(shared.size(), 1U);
  }
  shared.DropUnused();
  EXPECT_EQ(shared.size(), 0U);
}

}  // namespace
}  // namespace savedmodel::engine
