// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Joins rows of several requests to the inputs of one run, and parts its results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/model_state.h"
#include "savedmodel/batcher.h"

namespace savedmodel::internal {

// Memory of batches, which is used again when nothing holds it any more. It may be empty.
class BatchBuffers : public std::enable_shared_from_this<BatchBuffers> {
 public:
  // A tensor that begins at a multiple of kAlignment.
  Tensor Take(DType dtype, const Shape& shape);
  void Clear();

 private:
  struct Free {
    std::size_t bytes;
    std::unique_ptr<void, void (*)(void*)> data;
  };
  void GiveBack(void* data, std::size_t bytes) noexcept;
  std::mutex mutex_;
  std::list<Free> free_;  // the latest first
  std::size_t free_bytes_ = 0;
};

// Rows `begin` to `end` of a request's inputs.
struct BatchPart {
  const std::vector<Tensor>* inputs;
  std::size_t begin, end;
  std::size_t rows() const { return end - begin; }
};

// Where the rows of a function's inputs and outputs are.
class BatchLayout {
 public:
  // Throws UsageError.
  BatchLayout(const FunctionState& function, const BatchOptions& options);

  // The number of rows; checks types and shapes. Throws UsageError.
  std::size_t Rows(Span<const Tensor> inputs) const;
  // Whether requests with such inputs can be in one batch.
  bool CanJoin(const std::vector<Tensor>& a, const std::vector<Tensor>& b) const;
  // Whether its inputs and outputs have the same names and types, in the same order.
  bool IsLike(const BatchLayout& other) const;
  // If the model asks for one number of rows: that.
  std::optional<std::size_t> fixed_rows() const { return fixed_rows_; }
  // Inputs of `sample`, or made-up ones, of one row. Empty if the signature does not say of what shape.
  std::vector<Tensor> OneRow(const std::vector<Tensor>& sample) const;

  // The inputs of a run of `rows` rows, at least as many as the parts have.
  std::vector<Tensor> Join(const std::vector<BatchPart>& parts, std::size_t rows,
                           const std::shared_ptr<BatchBuffers>& buffers) const;
  // Throws Error (kFailedPrecondition) unless each result has `rows` rows.
  void CheckResults(Span<const Tensor> results, std::size_t rows) const;
  // `count` rows of the results, from `begin` on: those of `part` in a run with the inputs `joined`.
  std::vector<Tensor> Rows(const std::vector<Tensor>& results, std::size_t begin, const BatchPart& part,
                           const std::vector<Tensor>& joined) const;
  // Writes the results of some of a request's rows, from row `at` on, into the results of all.
  void Append(const std::vector<Tensor>& some, std::size_t at, std::size_t rows,
              std::vector<Tensor>* all) const;

 private:
  struct Axis {
    const TensorSpec* spec;
    std::size_t rows = 0;  // the axis
    Tensor pad;            // of an input; may be empty
  };
  Axis MakeAxis(const TensorSpec& spec, const BatchOptions& options, const char* what) const;
  Shape Own(const Axis& output, const Tensor& result, const BatchPart& part,
            const std::vector<Tensor>& joined) const;

  std::string label_;
  std::vector<TensorSpec> specs_in_, specs_out_;
  std::vector<Axis> inputs_, outputs_;
  std::optional<std::size_t> fixed_rows_;
  bool pads_ = false;
};

}  // namespace savedmodel::internal
