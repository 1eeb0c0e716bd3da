// SPDX-License-Identifier: Apache-2.0
// The zero-copy contract (engine/base/tensors.cc, engine/model/function.cc): what a run borrows, copies and
// shares.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::Buffer;
using testing::Floats;
using testing::Has;
using testing::LoadModel;
using testing::Numbers;
using testing::Overlap;
using testing::Tensors;
using testing::Values;

Tensor Borrow(Buffer& buffer, const Shape& shape) {
  return Tensor::Wrap(DType::kFloat32, shape, buffer.data(), std::shared_ptr<const void>());
}

// A read-only page: a run that wrote to it would end the process.
class ReadOnlyPage {
 public:
  explicit ReadOnlyPage(const std::vector<float>& values) : size_(static_cast<std::size_t>(getpagesize())) {
    data_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(data_, values.data(), values.size() * sizeof(float));
    mprotect(data_, size_, PROT_READ);
  }
  ~ReadOnlyPage() { munmap(data_, size_); }
  ReadOnlyPage(const ReadOnlyPage&) = delete;
  ReadOnlyPage& operator=(const ReadOnlyPage&) = delete;
  Tensor tensor(const Shape& shape) const {
    return Tensor::Wrap(DType::kFloat32, shape, data_, std::shared_ptr<const void>());
  }

 private:
  std::size_t size_;
  void* data_ = nullptr;
};

// A trace of TensorFlow's, which takes options of TensorFlow's, shows the memory of each result.
TEST(Inputs, AlignedOnesAreBorrowedAndOthersCopied) {
  const Model model = LoadModel("add");
  const Function function = model.function("serving_default");
  EXPECT_EQ(function.copies_inputs_because(), "");
  for (const std::size_t offset : {0U, 4U, 16U, 32U}) {
    SCOPED_TRACE(offset);
    Buffer x(Numbers(64), offset);
    Buffer y(Numbers(64, 2), offset);
    Trace trace;
    RunOptions options;
    options.proto = std::string("\x18\x00", 2);  // inter_op_thread_pool: 0
    function.Run(Tensors{Borrow(x, {64}), Borrow(y, {64})}, options, &trace);
    const bool borrowed = trace.run_metadata.find("savedmodel: borrowed") != std::string::npos;
    EXPECT_EQ(borrowed, offset == 0);
  }
}

TEST(Inputs, MisalignedOnesGiveTheSameResult) {
  const Model model = LoadModel("mlp");
  const Function function = model.function("serving_default");
  const std::vector<float> numbers = Numbers(2 * 64);
  const auto expected = Values(function.Run(Tensors{Floats(numbers, {2, 64})}).at(0));
  for (const std::size_t offset : {1U, 2U, 4U, 8U, 63U}) {
    Buffer x(numbers, offset);
    ASSERT_FALSE(Borrow(x, {2, 64}).aligned());
    EXPECT_EQ(Values(function.Run(Tensors{Borrow(x, {2, 64})}).at(0)), expected) << offset;
  }
}

TEST(Inputs, AreNeverWritten) {
  const std::vector<float> numbers = Numbers(1024);
  const ReadOnlyPage page(numbers);
  for (const char* name : {"add", "identity", "slice_view", "mlp", "stateful", "shapes", "multi"}) {
    const Model model = LoadModel(name);
    for (const auto& [signature_name, signature] : model.signatures()) {
      SCOPED_TRACE(std::string(name) + " " + signature_name);
      Tensors inputs;
      for (const TensorSpec& spec : signature.inputs) {
        if (spec.dtype != DType::kFloat32) break;
        std::vector<std::int64_t> dims = spec.shape.value_or(std::vector<std::int64_t>{4});
        for (std::int64_t& dim : dims) dim = dim < 0 ? 4 : dim;
        inputs.push_back(page.tensor(Shape(dims)));
      }
      if (inputs.size() != signature.inputs.size()) continue;
      const Tensors results = model.function(signature_name).Run(inputs);
      for (const Tensor& result : results) {
        for (const Tensor& input : inputs) EXPECT_FALSE(Overlap(result, input));
      }
    }
  }
  EXPECT_EQ(Values(page.tensor({1024})), numbers);
}

TEST(Inputs, AreLetGoWhenTheRunIsOver) {
  for (const char* name : {"add", "identity", "slice_view", "stateful"}) {
    for (const std::size_t offset : {0U, 4U}) {
      SCOPED_TRACE(std::string(name) + (offset == 0 ? ", aligned" : ", misaligned"));
      const Model model = LoadModel(name);
      const Function function = model.function(std::string(name) == "stateful" ? "store" : "serving_default");
      Buffer buffer(Numbers(64), offset);
      int deleted = 0;
      Tensors results;
      {
        std::vector<std::int64_t> dims = *function.inputs().at(0).shape;
        for (std::int64_t& dim : dims) dim = dim < 0 ? 4 : dim;
        const Tensor x = Tensor::Wrap(DType::kFloat32, Shape(dims), buffer.data(), [&deleted] { ++deleted; });
        results = function.Run(Tensors(function.inputs().size(), x));
        EXPECT_EQ(deleted, 0);
      }
      EXPECT_EQ(deleted, 1) << "while the results live on";
    }
  }
}

TEST(Inputs, ThatAVariableKeepsAreCopied) {
  const Model model = LoadModel("stateful");
  const Function store = model.function("store");
  EXPECT_TRUE(Has(store.copies_inputs_because(), "Assign"));
  Buffer buffer({1, 2, 3, 4});
  store.Run(Tensors{Borrow(buffer, {4})});
  buffer.data()[0] = 100;
  EXPECT_EQ(Values(model.function("load").Run(Tensors{}).at(0)), (std::vector<float>{1, 2, 3, 4}));
}

TEST(Results, ThatLookAtAnInputAreCopies) {
  Buffer buffer(Numbers(4 * 16));
  for (const char* name : {"identity", "slice_view"}) {
    const Model model = LoadModel(name);
    const Tensor input = Borrow(buffer, {4, 16});
    const Tensors results = model.function("serving_default").Run(Tensors{input});
    std::vector<std::vector<float>> before;
    for (const Tensor& result : results) {
      EXPECT_FALSE(Overlap(result, input)) << name;
      before.push_back(Values(result));
    }
    for (std::size_t i = 0; i < 4 * 16; ++i) buffer.data()[i] += 1000;
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(Values(results[i]), before[i]) << name;
  }
}

TEST(Results, OfAComputationAreWritable) {
  Tensor z = LoadModel("add").function("serving_default").Run(Tensors{Floats({1}), Floats({2})}).at(0);
  ASSERT_TRUE(z.writable());
  z.mutable_data<float>()[0] = 7;
  EXPECT_EQ(Values(z), std::vector<float>{7});
}

TEST(Results, AConstantIsReadOnly) {
  const Model model = LoadModel("constant");
  const Function function = model.function("serving_default");
  Tensors results = function.Run(Tensors{});
  const auto expected = Values(results.at(0));
  for (Tensor& result : results) {
    EXPECT_FALSE(result.writable());
    EXPECT_THROW((void)result.mutable_data<float>(), Error);
    EXPECT_EQ(Values(result), expected);
  }
}

TEST(Results, AWeightIsSharedAndReadOnly) {
  const Model model = LoadModel("weights");
  const Function get = model.function("get");
  const Tensor first = get.Run(Tensors{}).at(0);
  const Tensor second = get.Run(Tensors{}).at(0);
  EXPECT_EQ(first.data(), second.data());
  EXPECT_FALSE(first.writable());
  EXPECT_FALSE(second.writable());
}

TEST(Results, OneFetchUnderTwoNamesIsReadOnly) {
  const Tensors inputs{Floats({1}), Floats({2})};
  for (const Tensor& result : LoadModel("multi").function("sum_prod", {"sum", "sum"}).Run(inputs)) {
    EXPECT_FALSE(result.writable());
    EXPECT_EQ(Values(result), std::vector<float>{3});
  }
}

// A result that overlaps another must not be writable, or at least not both.
TEST(Results, ThatOverlapAreReadOnly) {
  for (const char* name : {"slice_view", "identity", "multi", "constant"}) {
    const Model model = LoadModel(name);
    const Function function = model.function(model.default_signature());
    Tensors inputs;
    for (const TensorSpec& spec : function.inputs()) {
      inputs.push_back(spec.shape->size() == 2 ? Floats(Numbers(64), {4, 16}) : Floats(Numbers(64)));
    }
    const Tensors results = function.Run(inputs);
    for (std::size_t i = 0; i < results.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const bool both_writable = results[i].writable() && results[j].writable();
        EXPECT_FALSE(both_writable && Overlap(results[i], results[j])) << name;
      }
    }
  }
}

TEST(Results, OutliveTheModel) {
  Tensors results;
  Tensor word;
  std::vector<float> weight;
  {
    const Model model = LoadModel("weights");
    results = model.function("get").Run(Tensors{});
    weight = Values(results.at(0));
    results.push_back(model.function("apply").Run(Tensors{Floats({1, 0, 0, 0}, {1, 4})}).at(0));
    word = LoadModel("strings").function("upper").Run(Tensors{Tensor::Strings({1}, {"word"})}).at(0);
  }
  (void)LoadModel("mlp");  // reuses the memory if it was freed
  EXPECT_EQ(Values(results[0]), weight);
  const auto row = Values(results[1]);
  for (std::size_t i = 0; i < row.size(); ++i) EXPECT_FLOAT_EQ(row[i], weight[i]);
  EXPECT_EQ(word.string(0), "WORD");
}

TEST(Results, OfOneRunAreNotChangedByTheNext) {
  const Model model = LoadModel("stateful");
  const Function incr = model.function("incr");
  const Tensor first = incr.Run(Tensors{Floats({1}, {})}).at(0);
  const Tensor second = incr.Run(Tensors{Floats({1}, {})}).at(0);
  EXPECT_EQ(Values(first), std::vector<float>{1});
  EXPECT_EQ(Values(second), std::vector<float>{2});
  const Model references = LoadModel("v1_ref_counter");
  const Tensor before = references.function("get").Run(Tensors{}).at(0);
  references.function("incr").Run(Tensors{Floats({5}, {})});
  EXPECT_EQ(Values(before), std::vector<float>{10});
}

}  // namespace
}  // namespace savedmodel
