// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/mapped_weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "savedmodel/tensor.h"
#include "tensorflow/core/framework/allocation_description.pb.h"
#include "tensorflow/core/lib/hash/crc32c.h"
#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

class MappedBuffer : public tf::TensorBuffer {
 public:
  MappedBuffer(std::shared_ptr<tf::ReadOnlyMemoryRegion> file, const char* data, std::size_t size)
      : tf::TensorBuffer(const_cast<char*>(data)), file_(std::move(file)), size_(size) {}
  std::size_t size() const override { return size_; }
  tf::TensorBuffer* root_buffer() override { return this; }
  bool OwnsMemory() const override { return false; }  // so that no kernel writes a result into it
  void FillAllocationDescription(tf::AllocationDescription* description) const override {
    description->set_requested_bytes(static_cast<std::int64_t>(size_));
    description->set_allocator_name("savedmodel: mapped");
  }

 private:
  std::shared_ptr<tf::ReadOnlyMemoryRegion> file_;
  std::size_t size_;
};

std::int64_t Aligned(std::int64_t offset) {
  constexpr auto alignment = static_cast<std::int64_t>(kAlignment);
  return (offset + alignment - 1) / alignment * alignment;
}

// `end`: in, the end of the previous tensor; out, of this one.
tf::Tensor MapOne(const std::string& file, const std::shared_ptr<tf::ReadOnlyMemoryRegion>& region,
                  const tf::BundleEntryProto& entry, std::int64_t* end) {
  const auto fail = [&](const std::string& what) {
    throw Error(Code::kDataLoss, "'" + file + "' " + what + "; is the copy complete?");
  };
  const auto length = static_cast<std::int64_t>(region->length());
  if (entry.size() < 0 || entry.offset() != Aligned(*end)) fail("does not fit its index");
  if (entry.offset() > length - entry.size()) fail("is too short");
  tf::TensorShape shape;
  ThrowIfError(tf::TensorShape::BuildTensorShape(entry.shape(), &shape), "'" + file + "'");
  if (!tf::DataTypeCanUseMemcpy(entry.dtype()) ||
      entry.size() != shape.num_elements() * tf::DataTypeSize(entry.dtype())) {
    fail("does not fit its index");
  }
  const auto size = static_cast<std::size_t>(entry.size());
  const char* begin = static_cast<const char*>(region->data());
  const char* data = begin + entry.offset();
  // The padding between two tensors has no checksum: it must be zeros.
  if (std::any_of(begin + *end, data, [](char byte) { return byte != 0; })) fail("has a wrong checksum");
  *end = entry.offset() + entry.size();
  if (tf::crc32c::Value(data, size) != entry.crc32c()) fail("has a wrong checksum");
  auto* buffer = new MappedBuffer(region, data, size);
  tf::Tensor tensor(entry.dtype(), shape, buffer);
  buffer->Unref();
  return tensor;
}

}  // namespace

std::vector<tf::BundleEntryProto> WriteWeights(const std::string& file,
                                               const std::vector<tf::Tensor>& weights) {
  std::unique_ptr<tf::WritableFile> out;
  ThrowIfError(tf::Env::Default()->NewWritableFile(file, &out), "'" + file + "'");
  std::vector<tf::BundleEntryProto> entries;
  std::int64_t end = 0;
  for (const tf::Tensor& weight : weights) {
    const absl::string_view bytes = weight.tensor_data();
    tf::BundleEntryProto entry;
    entry.set_dtype(weight.dtype());
    weight.shape().AsProto(entry.mutable_shape());
    entry.set_offset(Aligned(end));
    entry.set_size(static_cast<std::int64_t>(bytes.size()));
    entry.set_crc32c(tf::crc32c::Value(bytes.data(), bytes.size()));
    ThrowIfError(out->Append(std::string(static_cast<std::size_t>(entry.offset() - end), '\0')),
                 "'" + file + "'");
    ThrowIfError(out->Append(bytes), "'" + file + "'");
    end = entry.offset() + entry.size();
    entries.push_back(std::move(entry));
  }
  ThrowIfError(out->Close(), "'" + file + "'");
  return entries;
}

MappedWeights MapWeights(const std::string& file, const std::vector<tf::BundleEntryProto>& entries) {
  MappedWeights weights;
  if (entries.empty()) return weights;
  std::unique_ptr<tf::ReadOnlyMemoryRegion> mapped;
  ThrowIfError(tf::Env::Default()->NewReadOnlyMemoryRegionFromFile(file, &mapped), "'" + file + "'");
  weights.region = std::move(mapped);
  std::int64_t end = 0;
  for (const tf::BundleEntryProto& entry : entries) {
    weights.tensors.push_back(MapOne(file, weights.region, entry, &end));
  }
  if (static_cast<std::int64_t>(weights.region->length()) != end) {
    throw Error(Code::kDataLoss, "'" + file + "' is longer than its index says");
  }
  return weights;
}

void DropPages(const MappedWeights& weights) {
  if (weights.region == nullptr) return;
  void* const begin = const_cast<void*>(weights.region->data());
  (void)madvise(begin, static_cast<std::size_t>(weights.region->length()), MADV_DONTNEED);
}

}  // namespace savedmodel::engine
