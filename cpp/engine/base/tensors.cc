// SPDX-License-Identifier: Apache-2.0
#include "engine/base/tensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/framework/allocation_description.pb.h"
#include "tensorflow/core/framework/tensor_shape.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Free blocks of one size, kept per thread. Has no destructor, because threads release buffers until they
// end.
template <std::size_t size>
class SpareBlocks {
 public:
  static void* Take() {
    Stack& spare = Here();
    return spare.count > 0 ? spare.blocks[--spare.count] : ::operator new(size);
  }
  static void Put(void* block) {
    static thread_local const AtExit at_exit;
    (void)at_exit;
    Stack& spare = Here();
    if (spare.count == kMax || spare.ended) return ::operator delete(block);
    spare.blocks[spare.count++] = block;
  }

 private:
  static constexpr int kMax = 16;
  struct Stack {
    void* blocks[kMax];
    int count;
    bool ended;
  };
  struct AtExit {
    ~AtExit() {
      Stack& spare = Here();
      spare.ended = true;
      while (spare.count > 0) ::operator delete(spare.blocks[--spare.count]);
    }
  };
  static Stack& Here() {
    static thread_local Stack stack;
    return stack;
  }
};

// The caller's memory. It takes the source's owner only if it outlives the run, which saves two atomic
// operations and an allocation per input of each call.
class BorrowedBuffer : public tf::TensorBuffer {
 public:
  static void* operator new(std::size_t) { return SpareBlocks<kBlock>::Take(); }
  static void operator delete(void* block) { SpareBlocks<kBlock>::Put(block); }
  explicit BorrowedBuffer(const Tensor& source)
      : tf::TensorBuffer(const_cast<void*>(source.data())), size_(source.byte_size()), source_(&source) {}
  std::size_t size() const override { return size_; }
  tf::TensorBuffer* root_buffer() override { return this; }
  bool OwnsMemory() const override { return false; }
  bool GetAllocatedBytes(std::size_t* bytes) const override {
    *bytes = size_;
    return true;
  }
  void FillAllocationDescription(tf::AllocationDescription* description) const override {
    description->set_requested_bytes(static_cast<std::int64_t>(size_));
    description->set_allocator_name("savedmodel: borrowed");
  }
  void Own() { owner_ = source_->owner(); }
  void set_source(const Tensor& source) { source_ = &source; }

 private:
  static constexpr std::size_t kBlock = 64;
  std::size_t size_;
  const Tensor* source_;  // valid until the run returns
  std::shared_ptr<const void> owner_;
};

static_assert(sizeof(BorrowedBuffer) <= 64);

tf::TensorShape ToShape(const Shape& shape) {
  tf::TensorShape result;
  ThrowIfError(tf::TensorShape::BuildTensorShape(absl::MakeConstSpan(shape.data(), shape.size()), &result));
  return result;
}

// The buffer of a borrowing feed, else nullptr: only these buffers do not own their memory.
BorrowedBuffer* Borrowed(tf::Tensor* feed) {
  tf::TensorBuffer* buffer = tf::DMAHelper::buffer(feed);
  return buffer == nullptr || buffer->OwnsMemory() ? nullptr : static_cast<BorrowedBuffer*>(buffer);
}

// Keeps a string result and the array of views on it.
struct StringResult {
  tf::Tensor tensor;
  std::vector<std::string_view> views;
};

}  // namespace

bool SameShape(const tf::Tensor& tensor, const Shape& shape) {
  if (tensor.dims() != static_cast<int>(shape.size())) return false;
  for (int i = 0; i < tensor.dims(); ++i) {
    if (tensor.dim_size(i) != shape[static_cast<std::size_t>(i)]) return false;
  }
  return true;
}

void ToTensorFlow(const Tensor& tensor, bool borrow, tf::Tensor* feed) {
  const auto dtype = static_cast<tf::DataType>(tensor.dtype());
  const std::size_t bytes = tensor.byte_size();
  if (borrow && bytes > 0 && tensor.aligned()) {
    BorrowedBuffer* buffer = Borrowed(feed);
    if (buffer != nullptr && buffer->data() == tensor.data() && feed->dtype() == dtype &&
        SameShape(*feed, tensor.shape())) {
      buffer->set_source(tensor);
      return;
    }
    *feed = tf::Tensor(dtype, ToShape(tensor.shape()),
                       tf::core::RefCountPtr<tf::TensorBuffer>(new BorrowedBuffer(tensor)));
    return;
  }
  *feed = tf::Tensor(dtype, ToShape(tensor.shape()));
  if (tensor.dtype() == DType::kString) {
    auto flat = feed->flat<tf::tstring>();
    const Span<const std::string_view> views = tensor.strings();
    for (std::size_t i = 0; i < tensor.num_elements(); ++i) {
      flat(static_cast<Eigen::Index>(i)).assign(views[i].data(), views[i].size());
    }
  } else if (bytes > 0) {
    if (!feed->IsInitialized())
      throw Error(Code::kResourceExhausted, "out of memory: an input can't be copied");
    std::memcpy(feed->data(), tensor.data(), bytes);
  }
}

bool EndFeed(tf::Tensor* feed) {
  BorrowedBuffer* buffer = Borrowed(feed);
  if (buffer != nullptr && buffer->RefCountIsOne()) return false;
  if (buffer != nullptr) buffer->Own();
  *feed = tf::Tensor();
  return buffer != nullptr;
}

void DropPages(const tf::Tensor& tensor) {
  constexpr std::size_t kLarge = std::size_t{1} << 16;
  if (!tf::DataTypeCanUseMemcpy(tensor.dtype()) || tensor.TotalBytes() < kLarge) return;
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t end = (begin + tensor.TotalBytes()) / page * page;
  madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr)
}

void FreePages(tf::Tensor tensor) {
  if (tensor.RefCountIsOne()) DropPages(tensor);  // once it is freed, it may be another tensor's memory
}

Tensor FromTensorFlow(tf::Tensor tensor) {
  const auto dtype = static_cast<DType>(tensor.dtype());
  // The graph may not declare this type: these are C++ objects, not values.
  if (dtype == DType::kResource || dtype == DType::kVariant) {
    throw Error(Code::kUnimplemented, std::string("a result is a ") + DTypeName(dtype) +
                                          " handle, which has no value outside of TensorFlow");
  }
  std::int64_t dims[tf::TensorShape::MaxDimensions()];
  const int rank = tensor.dims();
  for (int i = 0; i < rank; ++i) dims[i] = tensor.dim_size(i);
  const Shape shape(dims, static_cast<std::size_t>(rank));
  if (dtype == DType::kString) {
    auto result = std::make_shared<StringResult>();
    result->tensor = std::move(tensor);
    const auto flat = result->tensor.flat<tf::tstring>();
    result->views.reserve(static_cast<std::size_t>(flat.size()));
    for (Eigen::Index i = 0; i < flat.size(); ++i) result->views.emplace_back(flat(i).data(), flat(i).size());
    const std::string_view* views = result->views.data();
    return Tensor::Result(dtype, shape, views, std::move(result), false);
  }
  const bool writable = tensor.NumElements() == 0 || tensor.RefCountIsOne();
  auto owner = std::make_shared<tf::Tensor>(std::move(tensor));
  const void* data = owner->data();
  return Tensor::Result(dtype, shape, data, std::move(owner), writable);
}

bool Overlaps(const tf::Tensor& a, const tf::Tensor& b) {
  const auto* a_begin = static_cast<const char*>(a.data());
  const auto* b_begin = static_cast<const char*>(b.data());
  return a_begin < b_begin + b.TotalBytes() && b_begin < a_begin + a.TotalBytes();
}

bool SameValue(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (a.dtype() == DType::kString)
    return std::equal(a.strings().begin(), a.strings().end(), b.strings().begin());
  return a.data() == b.data() || a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0;
}

}  // namespace savedmodel::engine
