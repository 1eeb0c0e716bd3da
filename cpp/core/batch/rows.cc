// SPDX-License-Identifier: Apache-2.0
#include "core/batch/rows.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/batch/block.h"
#include "core/with_errors.h"

namespace savedmodel::internal {
namespace {

constexpr std::size_t kMaxFreeBuffers = 16, kMaxFreeBytes = std::size_t{64} << 20;
constexpr std::int64_t kMadeUpSize = 16;  // of an axis whose size the signature leaves open

std::vector<std::int64_t> Dims(const Shape& shape) { return {shape.begin(), shape.end()}; }

Shape WithRows(const Tensor& tensor, std::size_t axis, std::size_t rows) {
  std::vector<std::int64_t> dims = Dims(tensor.shape());
  dims[axis] = static_cast<std::int64_t>(rows);
  return Shape(dims);
}

std::size_t ElementSize(DType dtype) {
  return dtype == DType::kString ? sizeof(std::string_view) : DTypeSize(dtype);
}

// Owns what a joined tensor of strings refers to.
struct JoinedStrings {
  std::vector<std::string_view> views;
  std::vector<Tensor> tensors;
};

// A block of a tensor; of strings, the views only.
Tensor Copy(const Tensor& from, const Shape& shape, BlockStart start) {
  const std::size_t size = ElementSize(from.dtype());
  const BlockPlace<const void*> source{from.data(), from.shape(), start};
  if (from.dtype() != DType::kString) {
    Tensor copy = Tensor::Empty(from.dtype(), shape);
    CopyBlock({copy.mutable_data(), shape, {}}, source, shape, size);
    return copy;
  }
  auto strings = std::make_shared<JoinedStrings>();
  strings->views.resize(shape.num_elements());
  strings->tensors = {from};
  CopyBlock({strings->views.data(), shape, {}}, source, shape, size);
  const std::string_view* views = strings->views.data();
  return Tensor::WrapStrings(shape, views, std::move(strings));
}

}  // namespace

Tensor BatchBuffers::Take(DType dtype, const Shape& shape) {
  const std::size_t bytes = shape.num_elements() * DTypeSize(dtype);
  void* data = nullptr;
  std::size_t size = std::max<std::size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(free_.begin(), free_.end(), [size](const Free& one) {
      return one.bytes >= size && one.bytes <= 4 * size;
    });
    if (found != free_.end()) {
      size = found->bytes;
      data = found->data.release();
      free_bytes_ -= size;
      free_.erase(found);
    }
  }
  if (data == nullptr) data = std::aligned_alloc(kAlignment, size);
  if (data == nullptr) {
    throw OutOfMemory("out of memory: a batch of " + std::string(DTypeName(dtype)) + " " + shape.ToString() +
                      " needs " + std::to_string(bytes) + " bytes");
  }
  const auto give_back = [buffers = shared_from_this(), size](void* freed) {
    buffers->GiveBack(freed, size);
  };
  return Tensor::WrapMutable(dtype, shape, data, std::shared_ptr<void>(data, give_back));
}

void BatchBuffers::GiveBack(void* data, std::size_t bytes) noexcept {
  std::unique_ptr<void, void (*)(void*)> owned(data, &std::free);
  std::list<Free> last;
  try {
    std::list<Free> one;
    one.push_back(Free{bytes, std::move(owned)});
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.splice(free_.begin(), one);
    free_bytes_ += bytes;
    while (free_.size() > kMaxFreeBuffers || free_bytes_ > kMaxFreeBytes) {
      free_bytes_ -= free_.back().bytes;
      last.splice(last.begin(), free_, std::prev(free_.end()));
    }
  } catch (const std::bad_alloc&) {
  }
}

void BatchBuffers::Clear() {
  std::list<Free> all;  // freed after the lock is released
  const std::lock_guard<std::mutex> lock(mutex_);
  all.swap(free_);
  free_bytes_ = 0;
}

BatchLayout::BatchLayout(const FunctionState& function, const BatchOptions& options)
    : label_(function.label), specs_in_(function.engine().inputs()), specs_out_(function.engine().outputs()) {
  const auto find = [](const std::vector<TensorSpec>& specs, const std::string& key) {
    return std::any_of(specs.begin(), specs.end(), [&](const TensorSpec& spec) { return spec.key == key; });
  };
  for (const auto& [key, axis] : options.batch_axis) {
    if (find(specs_in_, key) || find(specs_out_, key)) continue;
    throw UsageError(UsageError::Kind::kName, label_ + " has no input or output '" + key + "' (batch_axis)");
  }
  for (const auto& [key, value] : options.pad_value) {
    if (find(specs_in_, key)) continue;
    throw UsageError(UsageError::Kind::kName, label_ + " has no input '" + key + "' (pad_value)");
  }
  if (specs_in_.empty()) {
    throw UsageError(UsageError::Kind::kArguments, label_ + " has no inputs, so there is nothing to batch");
  }
  for (const TensorSpec& spec : specs_in_) {
    inputs_.push_back(MakeAxis(spec, options, "input"));
    Axis& made = inputs_.back();
    const auto pad = options.pad_value.find(spec.key);
    if (pad != options.pad_value.end()) {
      TensorSpec scalar = spec;
      scalar.shape.emplace();
      CheckInput(label_ + ", pad_value", scalar, pad->second);
      made.pad = pad->second;
      pads_ = true;
    }
    if (!spec.shape || (*spec.shape)[made.rows] < 0) continue;
    const auto rows = static_cast<std::size_t>((*spec.shape)[made.rows]);
    if (fixed_rows_ && *fixed_rows_ != rows) {
      throw UsageError(UsageError::Kind::kValue, label_ + ": its inputs have different numbers of rows: " +
                                                     std::to_string(*fixed_rows_) + " and, in '" + spec.key +
                                                     "', " + std::to_string(rows) + " (batch_axis)");
    }
    fixed_rows_ = rows;
  }
  for (const TensorSpec& spec : specs_out_) outputs_.push_back(MakeAxis(spec, options, "output"));
}

BatchLayout::Axis BatchLayout::MakeAxis(const TensorSpec& spec, const BatchOptions& options,
                                        const char* what) const {
  if (spec.key.find('#') != std::string::npos) {  // see TensorSpec::key
    throw UsageError(UsageError::Kind::kValue,
                     label_ + ": '" + spec.key.substr(0, spec.key.find('#')) +
                         "' is a sparse, ragged or composite value, whose parts have "
                         "no rows to share");
  }
  const auto given = options.batch_axis.find(spec.key);
  const int axis = given == options.batch_axis.end() ? 0 : given->second;
  const auto fits = [&] {
    return axis >= 0 && (!spec.shape || static_cast<std::size_t>(axis) < spec.shape->size());
  };
  if (!fits()) {
    throw UsageError(UsageError::Kind::kValue, label_ + ", " + what + " '" + spec.key +
                                                   "': " + spec.ToString() + " has no axis " +
                                                   std::to_string(axis) + " with the rows of a batch");
  }
  return {&spec, static_cast<std::size_t>(axis), {}};
}

std::size_t BatchLayout::Rows(Span<const Tensor> inputs) const {
  if (inputs.size() != inputs_.size()) {
    throw UsageError(UsageError::Kind::kArguments, label_ + " takes " + std::to_string(inputs_.size()) +
                                                       " input tensors, got " +
                                                       std::to_string(inputs.size()));
  }
  std::optional<std::size_t> rows;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Axis& axis = inputs_[i];
    const Tensor& tensor = inputs[i];
    if (fixed_rows_) {  // a batch is filled up
      TensorSpec open = *axis.spec;
      if (open.shape) (*open.shape)[axis.rows] = -1;
      CheckInput(label_, open, tensor);
    } else {
      CheckInput(label_, *axis.spec, tensor);
    }
    if (axis.rows >= tensor.shape().size()) {
      throw UsageError(UsageError::Kind::kValue, label_ + ", input '" + axis.spec->key +
                                                     "': " + tensor.shape().ToString() + " has no axis " +
                                                     std::to_string(axis.rows) + " with the rows of a batch");
    }
    const auto given = static_cast<std::size_t>(tensor.shape()[axis.rows]);
    if (rows && *rows != given) {
      throw UsageError(UsageError::Kind::kValue,
                       label_ + ": the inputs '" + inputs_[0].spec->key + "' and '" + axis.spec->key +
                           "' have " + std::to_string(*rows) + " and " + std::to_string(given) + " rows");
    }
    rows = given;
  }
  if (*rows == 0 && fixed_rows_ && *fixed_rows_ > 0) {
    throw UsageError(UsageError::Kind::kValue,
                     label_ + " computes " + std::to_string(*fixed_rows_) + " rows, got none");
  }
  return *rows;
}

bool BatchLayout::IsLike(const BatchLayout& other) const {
  const auto same = [](const std::vector<TensorSpec>& a, const std::vector<TensorSpec>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const TensorSpec& x, const TensorSpec& y) {
      return x.key == y.key && x.dtype == y.dtype;
    });
  };
  return same(specs_in_, other.specs_in_) && same(specs_out_, other.specs_out_);
}

bool BatchLayout::CanJoin(const std::vector<Tensor>& a, const std::vector<Tensor>& b) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Shape &left = a[i].shape(), &right = b[i].shape();
    if (left.size() != right.size()) return false;
    if (inputs_[i].pad.valid()) continue;
    for (std::size_t axis = 0; axis < left.size(); ++axis) {
      if (axis != inputs_[i].rows && left[axis] != right[axis]) return false;
    }
  }
  return true;
}

std::vector<Tensor> BatchLayout::OneRow(const std::vector<Tensor>& sample) const {
  std::vector<Tensor> row;
  if (!sample.empty()) {
    if (Rows(sample) == 0) {
      throw UsageError(UsageError::Kind::kValue, label_ + ": the sample has no rows");
    }
    for (std::size_t i = 0; i < sample.size(); ++i) {
      const Tensor& whole = sample[i];
      row.push_back(Copy(whole, WithRows(whole, inputs_[i].rows, 1), {}));
    }
    return row;
  }
  for (const Axis& axis : inputs_) {
    const TensorSpec& spec = *axis.spec;
    if (!spec.shape) return {};
    std::vector<std::int64_t> dims = *spec.shape;
    for (std::int64_t& dim : dims) dim = dim < 0 ? kMadeUpSize : dim;
    dims[axis.rows] = 1;
    const Shape shape(dims);
    if (spec.dtype == DType::kString) {
      row.push_back(Tensor::Strings(shape, std::vector<std::string>(shape.num_elements())));
      continue;
    }
    row.push_back(Tensor::Empty(spec.dtype, shape));
    if (row.back().byte_size() > 0) std::memset(row.back().mutable_data(), 0, row.back().byte_size());
  }
  return row;
}

std::vector<Tensor> BatchLayout::Join(const std::vector<BatchPart>& parts, std::size_t rows,
                                      const std::shared_ptr<BatchBuffers>& buffers) const {
  std::vector<Tensor> joined;
  joined.reserve(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Axis& axis = inputs_[i];
    std::vector<std::int64_t> dims = Dims((*parts[0].inputs)[i].shape());
    bool same = true;
    for (const BatchPart& part : parts) {
      const Shape& shape = (*part.inputs)[i].shape();
      for (std::size_t d = 0; axis.pad.valid() && d < dims.size(); ++d) {
        if (d != axis.rows && shape[d] != dims[d]) same = false;
        if (d != axis.rows) dims[d] = std::max(dims[d], shape[d]);
      }
    }
    dims[axis.rows] = static_cast<std::int64_t>(rows);
    const Shape shape(dims);
    const bool strings = axis.spec->dtype == DType::kString;
    const std::size_t size = ElementSize(axis.spec->dtype);
    std::shared_ptr<JoinedStrings> views;
    Tensor tensor;
    void* data = nullptr;
    if (strings) {
      views = std::make_shared<JoinedStrings>();
      views->views.resize(shape.num_elements());
      data = views->views.data();
    } else {
      tensor = buffers->Take(axis.spec->dtype, shape);
      data = tensor.mutable_data();
    }
    if (!same) FillBlock(data, shape.num_elements(), axis.pad.data(), size);
    std::size_t at = 0;
    const auto copy = [&](const BatchPart& part, std::size_t begin, std::size_t count) {
      const Tensor& source = (*part.inputs)[i];
      CopyBlock({data, shape, {axis.rows, at}}, {source.data(), source.shape(), {axis.rows, begin}},
                WithRows(source, axis.rows, count), size);
      at += count;
    };
    for (const BatchPart& part : parts) {
      copy(part, part.begin, part.rows());
      if (strings) views->tensors.push_back((*part.inputs)[i]);
    }
    while (at < rows) copy(parts.back(), parts.back().end - 1, 1);
    if (strings && axis.pad.valid()) views->tensors.push_back(axis.pad);
    if (strings) tensor = Tensor::WrapStrings(shape, views->views.data(), views);
    joined.push_back(std::move(tensor));
  }
  return joined;
}

void BatchLayout::CheckResults(Span<const Tensor> results, std::size_t rows) const {
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Shape& shape = results[i].shape();
    if (outputs_[i].rows < shape.size() && shape[outputs_[i].rows] == static_cast<std::int64_t>(rows))
      continue;
    throw Error(Code::kFailedPrecondition,
                label_ + ": the output '" + outputs_[i].spec->key + "' of a batch of " +
                    std::to_string(rows) + " rows has the shape " + shape.ToString() +
                    ", not a row for each on axis " + std::to_string(outputs_[i].rows) +
                    ": it can't be batched; leave it out (outputs), or name "
                    "the axis of its rows (batch_axis)");
  }
}

// The shape of a part of a result: its rows, and where a padded axis shows in it, that axis cut back.
Shape BatchLayout::Own(const Axis& output, const Tensor& result, const BatchPart& part,
                       const std::vector<Tensor>& joined) const {
  std::vector<std::int64_t> dims = Dims(result.shape());
  dims[output.rows] = static_cast<std::int64_t>(part.rows());
  for (std::size_t d = 0; pads_ && d < dims.size(); ++d) {
    const auto& known = output.spec->shape;
    if (d == output.rows || (known && (d >= known->size() || (*known)[d] >= 0))) continue;
    std::optional<std::int64_t> size;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Shape& padded = joined[i].shape();
      if (!inputs_[i].pad.valid() || d >= padded.size() || d == inputs_[i].rows ||
          padded[d] != result.shape()[d]) {
        continue;
      }
      const std::int64_t given = (*part.inputs)[i].shape()[d];
      if (size && *size != given) {  // the request alone has no padding
        throw Error(Code::kFailedPrecondition, label_ + ": axis " + std::to_string(d) + " of the output '" +
                                                   output.spec->key +
                                                   "' may be that of several padded inputs");
      }
      size = given;
    }
    if (size) dims[d] = *size;
  }
  return Shape(dims);
}

std::vector<Tensor> BatchLayout::Rows(const std::vector<Tensor>& results, std::size_t begin,
                                      const BatchPart& part, const std::vector<Tensor>& joined) const {
  std::vector<Tensor> own;
  own.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Tensor& result = results[i];
    const Axis& axis = outputs_[i];
    const Shape shape = Own(axis, result, part, joined);
    const std::size_t size = ElementSize(result.dtype());
    std::vector<std::int64_t> rows_only = Dims(result.shape());
    rows_only[axis.rows] = shape[axis.rows];
    const bool whole_rows = Shape(rows_only) == shape;
    const bool contiguous = std::all_of(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis.rows),
                                        [](std::int64_t dim) { return dim == 1; });
    if (whole_rows && contiguous) {
      const std::size_t all = result.num_elements();
      const auto rows = static_cast<std::size_t>(result.shape()[axis.rows]);
      const std::size_t offset = rows == 0 ? 0 : all / rows * begin * size;
      own.push_back(Tensor::Result(result.dtype(), shape, static_cast<const char*>(result.data()) + offset,
                                   result.owner(), result.writable()));
      continue;
    }
    own.push_back(Copy(result, shape, {axis.rows, begin}));
  }
  return own;
}

void BatchLayout::Append(const std::vector<Tensor>& some, std::size_t at, std::size_t rows,
                         std::vector<Tensor>* all) const {
  const bool first = all->empty();
  for (std::size_t i = 0; i < some.size(); ++i) {
    const Tensor& part = some[i];
    const std::size_t axis = outputs_[i].rows;
    const bool strings = part.dtype() == DType::kString;
    if (first) {
      const Shape shape = WithRows(part, axis, rows);
      if (strings) {
        auto made = std::make_shared<JoinedStrings>();
        made->views.resize(shape.num_elements());
        const std::string_view* views = made->views.data();
        all->push_back(Tensor::WrapStrings(shape, views, std::move(made)));
      } else {
        all->push_back(Tensor::Empty(part.dtype(), shape));
      }
    }
    Tensor& whole = (*all)[i];
    if (WithRows(whole, axis, static_cast<std::size_t>(part.shape()[axis])) != part.shape()) {
      throw Error(Code::kFailedPrecondition,
                  label_ + ": the parts of a request of " + std::to_string(rows) + " rows have results '" +
                      outputs_[i].spec->key + "' of different shapes, " + whole.shape().ToString() + " and " +
                      part.shape().ToString() + "; raise max_batch_size");
    }
    if (strings) {
      auto* made = static_cast<JoinedStrings*>(const_cast<void*>(whole.owner().get()));
      made->tensors.push_back(part);
    }
    CopyBlock({const_cast<void*>(whole.data()), whole.shape(), {axis, at}}, {part.data(), part.shape(), {}},
              part.shape(), ElementSize(part.dtype()));
  }
}

}  // namespace savedmodel::internal
