// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/tensor.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Floats;
using testing::Mentions;
using testing::MistakeIn;
using testing::ThrownBy;
using testing::Values;

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

TEST(Shape, OfAScalarIsEmpty) {
  const Shape scalar{};
  EXPECT_EQ(scalar.size(), 0U);
  EXPECT_EQ(scalar.num_elements(), 1U);
  EXPECT_EQ(scalar.ToString(), "[]");
  EXPECT_EQ(scalar, Shape(std::vector<std::int64_t>{}));
}

// Eight dimensions are stored inline, more are not: tests both, and their copies and moves.
TEST(Shape, AnyNumberOfDimensions) {
  for (const std::size_t rank : {1U, 7U, 8U, 9U, 40U}) {
    SCOPED_TRACE(rank);
    std::vector<std::int64_t> dims(rank, 1);
    for (std::size_t i = 0; i < rank; ++i) dims[i] = static_cast<std::int64_t>(i % 2) + 1;
    Shape shape(dims);
    const Shape copy = shape;
    const Shape moved = std::move(shape);
    for (const Shape& each : {copy, moved}) {
      ASSERT_EQ(each.size(), rank);
      EXPECT_EQ(std::vector<std::int64_t>(each.begin(), each.end()), dims);
      EXPECT_EQ(each[rank - 1], dims[rank - 1]);
      EXPECT_EQ(each.num_elements(), std::size_t{1} << (rank / 2));
    }
    Shape assigned{3};
    assigned = copy;
    EXPECT_EQ(assigned, copy);
    dims.back() += 1;
    EXPECT_NE(copy, Shape(dims));
    dims.pop_back();
    EXPECT_NE(copy, Shape(dims));
  }
}

TEST(Shape, ToString) { EXPECT_EQ(Shape({2, 0, -1}).ToString(), "[2, 0, -1]"); }

TEST(Shape, NumElementsRefusesWhatIsNoSize) {
  EXPECT_EQ(Shape({2, 3, 4}).num_elements(), 24U);
  EXPECT_EQ(Shape({5, 0}).num_elements(), 0U);
  for (const Shape& shape : {Shape{-1}, Shape{2, -3}, Shape{-2, -2}, Shape{kHuge, kHuge}}) {
    const UsageError error = MistakeIn([&] { (void)shape.num_elements(); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
    EXPECT_TRUE(Mentions(error, {shape.ToString()}));
  }
}

TEST(Tensor, HoldsNothingAtFirst) {
  const Tensor tensor{};
  EXPECT_EQ(tensor.dtype(), DType::kInvalid);
  EXPECT_EQ(tensor.num_elements(), 0U);
  EXPECT_EQ(tensor.byte_size(), 0U);
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_FALSE(tensor.writable());
}

TEST(Tensor, EmptyIsAlignedAndWritable) {
  for (const std::int64_t size : {0, 1, 3, 16, 1001}) {
    Tensor tensor = Tensor::Empty(DType::kFloat64, {size});
    EXPECT_TRUE(tensor.aligned()) << size;
    EXPECT_TRUE(tensor.writable()) << size;
    EXPECT_EQ(tensor.num_elements(), static_cast<std::size_t>(size));
    EXPECT_EQ(tensor.byte_size(), static_cast<std::size_t>(size) * 8);
    double* data = tensor.mutable_data<double>();
    for (std::int64_t i = 0; i < size; ++i) data[i] = static_cast<double>(i);
    for (std::int64_t i = 0; i < size; ++i) ASSERT_EQ(tensor.data<double>()[i], static_cast<double>(i));
  }
}

TEST(Tensor, SizesThatDoNotFitInMemoryAreRefused) {
  EXPECT_THROW((void)Tensor::Empty(DType::kInt8, {kHuge, kHuge}), UsageError);
  EXPECT_THROW((void)Tensor::Empty(DType::kInt8, {-1}), UsageError);
  EXPECT_THROW((void)Tensor::Empty(DType::kComplex128, {std::numeric_limits<std::int64_t>::max()}),
               UsageError);
  const auto error = testing::ThrownBy<OutOfMemory>(
      [] { (void)Tensor::Empty(DType::kInt8, {std::numeric_limits<std::int64_t>::max()}); });
  EXPECT_EQ(error.code(), Code::kResourceExhausted);
  EXPECT_TRUE(testing::Mentions(error, {"9223372036854775807 bytes"}));
}

TEST(Tensor, WrapChecksTheShape) {
  const float value = 0;
  const std::shared_ptr<const void> owner;
  EXPECT_THROW((void)Tensor::Wrap(DType::kFloat32, {-1}, &value, owner), UsageError);
  EXPECT_THROW((void)Tensor::Wrap(DType::kFloat32, {kHuge, kHuge}, &value, owner), UsageError);
  // The number of elements fits, their size in bytes overflows: byte_size() would be 0.
  EXPECT_THROW((void)Tensor::Wrap(DType::kFloat32, {std::int64_t{1} << 62}, &value, owner), UsageError);
}

TEST(Tensor, TypesWithoutFlatMemoryAreRefused) {
  for (const DType dtype : {DType::kString, DType::kResource, DType::kVariant, DType::kInvalid}) {
    const UsageError error = MistakeIn([&] { (void)Tensor::Empty(dtype, {1}); });
    EXPECT_EQ(error.kind(), UsageError::Kind::kDType);
    EXPECT_TRUE(Mentions(error, {DTypeName(dtype)}));
    EXPECT_THROW((void)Tensor::Copy(dtype, {1}, "x"), UsageError);
    EXPECT_THROW((void)Tensor::Wrap(dtype, {1}, "x", std::shared_ptr<const void>()), UsageError);
  }
}

TEST(Tensor, CopyIsIndependentOfItsSource) {
  std::vector<float> values{1, 2, 3, 4};
  const Tensor tensor = Floats(values, {2, 2});
  values[0] = 100;
  EXPECT_EQ(Values(tensor), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_TRUE(tensor.writable());
  EXPECT_TRUE(tensor.aligned());
}

TEST(Tensor, ACopyOfNothingNeedsNoData) {
  EXPECT_EQ(Tensor::Copy(DType::kFloat32, {0, 7}, nullptr).num_elements(), 0U);
}

TEST(Tensor, CopiesOfATensorShareItsMemory) {
  Tensor tensor = Floats({1, 2});
  const Tensor copy = tensor;
  EXPECT_EQ(copy.data(), tensor.data());
  tensor.mutable_data<float>()[0] = 5;
  EXPECT_EQ(Values(copy), (std::vector<float>{5, 2}));
}

TEST(Tensor, TheWrongElementTypeIsRefused) {
  Tensor tensor = Floats({1});
  const UsageError error = MistakeIn([&] { (void)tensor.data<double>(); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kDType);
  EXPECT_TRUE(Mentions(error, {"float32", "float64"}));
  EXPECT_THROW((void)tensor.mutable_data<std::int32_t>(), UsageError);
  EXPECT_THROW((void)tensor.string(0), UsageError);
  EXPECT_THROW((void)tensor.strings(), UsageError);
  EXPECT_THROW((void)Tensor::Strings({1}, {"a"}).data<float>(), UsageError);
}

TEST(Tensor, WrappedMemoryIsReadOnly) {
  float values[2] = {1, 2};
  Tensor tensor = Tensor::Wrap(DType::kFloat32, {2}, values, std::shared_ptr<const void>());
  EXPECT_EQ(tensor.data(), values);
  EXPECT_FALSE(tensor.writable());
  const Error error = ThrownBy([&] { (void)tensor.mutable_data<float>(); });
  EXPECT_EQ(error.code(), Code::kFailedPrecondition);
  EXPECT_TRUE(Mentions(error, {"read-only"}));
}

TEST(Tensor, WrapKnowsItsAlignment) {
  alignas(kAlignment) const float values[32] = {};
  const std::shared_ptr<const void> owner;
  EXPECT_TRUE(Tensor::Wrap(DType::kFloat32, {4}, values, owner).aligned());
  EXPECT_TRUE(Tensor::Wrap(DType::kFloat32, {4}, values + 16, owner).aligned());
  EXPECT_FALSE(Tensor::Wrap(DType::kFloat32, {4}, values + 1, owner).aligned());
  EXPECT_FALSE(Tensor::Wrap(DType::kFloat32, {4}, values + 8, owner).aligned());
}

TEST(Tensor, OwnerLivesAsLongAsTheLastView) {
  auto values = std::make_shared<std::vector<float>>(4, 1.0F);
  const std::weak_ptr<std::vector<float>> alive = values;
  Tensor tensor = Tensor::Wrap(DType::kFloat32, {4}, values->data(), std::shared_ptr<const void>(values));
  values.reset();
  Tensor copy = tensor;
  tensor = Tensor();
  EXPECT_FALSE(alive.expired());
  copy = Tensor();
  EXPECT_TRUE(alive.expired());
}

TEST(Tensor, DeleterRunsOnceWithTheLastView) {
  const float values[2] = {1, 2};
  int deleted = 0;
  {
    Tensor tensor = Tensor::Wrap(DType::kFloat32, {2}, values, [&deleted] { ++deleted; });
    const Tensor copy = tensor;
    Tensor moved = std::move(tensor);
    moved = Tensor();
    EXPECT_EQ(deleted, 0);
  }
  EXPECT_EQ(deleted, 1);
}

TEST(Tensor, DeleterRunsOnTheThreadThatLetsGo) {
  const float values[2] = {1, 2};
  std::atomic<int> deleted{0};
  std::thread::id where;
  Tensor tensor = Tensor::Wrap(DType::kFloat32, {2}, values, [&] {
    where = std::this_thread::get_id();
    ++deleted;
  });
  std::thread thread([last = std::move(tensor)]() mutable { last = Tensor(); });
  const std::thread::id id = thread.get_id();
  thread.join();
  EXPECT_EQ(deleted, 1);
  EXPECT_EQ(where, id);
}

TEST(Tensor, StringsAreCopied) {
  std::vector<std::string> values{"", "plain", std::string("a\0b\xff", 4), std::string(5000, 'x')};
  const std::vector<std::string> expected = values;
  const Tensor tensor = Tensor::Strings({2, 2}, values);
  values.assign(4, "changed");
  EXPECT_EQ(tensor.dtype(), DType::kString);
  EXPECT_EQ(tensor.shape(), Shape({2, 2}));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(tensor.string(i), expected[i]);
    EXPECT_EQ(tensor.strings()[i], expected[i]);
  }
  EXPECT_FALSE(tensor.writable());
  EXPECT_EQ(MistakeIn([&] { (void)tensor.string(4); }).kind(), UsageError::Kind::kValue);
}

TEST(Tensor, StringsFromViews) {
  const std::string bytes("one\0two", 7);
  const std::vector<std::string_view> views{std::string_view(bytes).substr(0, 3), bytes, ""};
  const Tensor tensor = Tensor::Strings({3}, views);
  EXPECT_EQ(tensor.strings().size(), 3U);
  EXPECT_EQ(std::vector<std::string>(tensor.strings().begin(), tensor.strings().end()),
            (std::vector<std::string>{"one", bytes, ""}));
  EXPECT_NE(tensor.string(1).data(), bytes.data());
  const std::string_view array[] = {"a", "b"};
  EXPECT_EQ(Tensor::Strings({1, 2}, array).string(1), "b");
  EXPECT_THROW((void)Tensor::Strings({2}, views), UsageError);
}

TEST(Tensor, ValuesAreASpan) {
  const float numbers[] = {1, 2, 3};
  Tensor tensor = Tensor::Copy(DType::kFloat32, {3}, numbers);
  for (float& value : tensor.mutable_values<float>()) value *= 2;
  EXPECT_EQ(tensor.values<float>().size(), 3U);
  EXPECT_EQ(tensor.values<float>()[2], 6);
  EXPECT_THROW((void)tensor.values<double>(), UsageError);
  const Tensor lent = Tensor::Wrap(DType::kFloat32, {3}, numbers, std::shared_ptr<const void>());
  Tensor copy = lent;
  EXPECT_THROW((void)copy.mutable_values<float>(), Error);
}

TEST(Tensor, WrapMutableLendsMemoryToWriteTo) {
  std::vector<float> numbers(2);
  Tensor tensor = Tensor::WrapMutable(DType::kFloat32, {2}, numbers.data(), nullptr);
  tensor.mutable_values<float>()[1] = 4;
  EXPECT_EQ(numbers[1], 4);
  EXPECT_THROW((void)Tensor::WrapMutable(DType::kString, {2}, numbers.data(), nullptr), UsageError);
}

TEST(Tensor, StringsFillTheirShape) {
  EXPECT_EQ(Tensor::Strings({}, {"scalar"}).string(0), "scalar");
  EXPECT_EQ(Tensor::Strings({0, 3}, {}).num_elements(), 0U);
  const UsageError error = MistakeIn([&] { (void)Tensor::Strings({3}, {"a", "b"}); });
  EXPECT_EQ(error.kind(), UsageError::Kind::kValue);
  EXPECT_TRUE(Mentions(error, {"2", "[3]"}));
  EXPECT_THROW((void)Tensor::Strings({-1}, {"a"}), UsageError);
}

TEST(Tensor, WrapStringsBorrowsTheViews) {
  auto views = std::make_shared<std::vector<std::string_view>>(2, "static bytes");
  const std::weak_ptr<std::vector<std::string_view>> alive = views;
  const std::string_view* first = views->data();
  Tensor tensor = Tensor::WrapStrings({2}, first, std::shared_ptr<const void>(std::move(views)));
  EXPECT_EQ(tensor.strings().data(), first);
  EXPECT_EQ(tensor.string(1), "static bytes");
  EXPECT_FALSE(alive.expired());
  tensor = Tensor();
  EXPECT_TRUE(alive.expired());
}

TEST(Tensor, StringsGoThroughTensorFlowUnchanged) {
  const Model model = testing::LoadModel("dtypes");
  const std::vector<std::string> values{"", std::string("\0\xff", 2), std::string(100, 'y')};
  const Tensor result = model.function("string").Run({Tensor::Strings({3}, values)}).at(0);
  ASSERT_EQ(result.num_elements(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(result.string(i), values[i]);
}

}  // namespace
}  // namespace savedmodel
