// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/dtype.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::LoadModel;

constexpr int kLast = static_cast<int>(DType::kFloat4E2M1FN);

TEST(DType, NamesAreDistinct) {
  std::set<std::string> names;
  for (int i = 0; i <= kLast; ++i) names.insert(DTypeName(static_cast<DType>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kLast) + 1);
  EXPECT_EQ(names.count("unknown"), 0U);
}

TEST(DType, NamesAreThoseOfTensorFlow) {
  EXPECT_STREQ(DTypeName(DType::kFloat32), "float32");
  EXPECT_STREQ(DTypeName(DType::kBFloat16), "bfloat16");
  EXPECT_STREQ(DTypeName(DType::kString), "string");
  EXPECT_STREQ(DTypeName(DType::kFloat8E4M3B11FNUZ), "float8_e4m3b11fnuz");
}

TEST(DType, AValueThatIsNoTypeHasANameAndNoSize) {
  for (const int value : {-1, kLast + 1, 101, 1 << 30}) {
    EXPECT_STREQ(DTypeName(static_cast<DType>(value)), "unknown") << value;
    EXPECT_EQ(DTypeSize(static_cast<DType>(value)), 0U) << value;
  }
}

TEST(DType, SizesInBytes) {
  EXPECT_EQ(DTypeSize(DType::kBool), 1U);
  EXPECT_EQ(DTypeSize(DType::kFloat16), 2U);
  EXPECT_EQ(DTypeSize(DType::kFloat32), 4U);
  EXPECT_EQ(DTypeSize(DType::kComplex64), 8U);
  EXPECT_EQ(DTypeSize(DType::kComplex128), 16U);
  for (const DType dtype : {DType::kString, DType::kResource, DType::kVariant, DType::kInvalid}) {
    EXPECT_EQ(DTypeSize(dtype), 0U) << DTypeName(dtype);
  }
}

TEST(DType, OfCppTypes) {
  EXPECT_EQ(DTypeOf<float>(), DType::kFloat32);
  EXPECT_EQ(DTypeOf<std::int64_t>(), DType::kInt64);
  EXPECT_EQ(DTypeOf<bool>(), DType::kBool);
  EXPECT_EQ(DTypeOf<std::string>(), DType::kInvalid);
}

// The model's signatures are named after their dtype and return their input. A size that differs from
// TensorFlow's would move the elements.
TEST(DType, EveryTypeGoesThroughTensorFlowUnchanged) {
  const Model model = LoadModel("dtypes");
  ASSERT_GE(model.signatures().size(), 20U);
  for (const auto& [name, signature] : model.signatures()) {
    SCOPED_TRACE(name);
    const DType dtype = signature.inputs.at(0).dtype;
    EXPECT_EQ(name, DTypeName(dtype));
    if (dtype == DType::kString) continue;  // see test_tensor.cc
    std::vector<unsigned char> bytes(5 * DTypeSize(dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = i % 2;  // valid for every type, bool too
    const Tensor result = model.function(name).Run({Tensor::Copy(dtype, {5}, bytes.data())}).at(0);
    EXPECT_EQ(result.dtype(), dtype);
    EXPECT_EQ(result.shape(), Shape({5}));
    ASSERT_EQ(result.byte_size(), bytes.size());
    EXPECT_EQ(std::memcmp(result.data(), bytes.data(), bytes.size()), 0);
  }
}

TEST(DType, QuantizedTypesGoThroughTensorFlowUnchanged) {
  const Model model = LoadModel("quantized");
  ASSERT_EQ(model.signatures().size(), 5U);
  for (const auto& [name, signature] : model.signatures()) {
    SCOPED_TRACE(name);
    const DType dtype = signature.inputs.at(0).dtype;
    EXPECT_EQ(name, DTypeName(dtype));
    std::vector<unsigned char> bytes(3 * DTypeSize(dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 23 + 1);
    const Tensor result = model.function(name).Run({Tensor::Copy(dtype, {3}, bytes.data())}).at(0);
    ASSERT_EQ(result.byte_size(), bytes.size());
    EXPECT_EQ(std::memcmp(result.data(), bytes.data(), bytes.size()), 0);
  }
}

}  // namespace
}  // namespace savedmodel
