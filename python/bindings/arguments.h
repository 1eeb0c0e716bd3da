// SPDX-License-Identifier: Apache-2.0
// Converts Python's arguments of a signature to the dense tensors of a Function, and its results to a dict.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "savedmodel/model.h"

namespace savedmodel::python {

namespace py = pybind11;

// `size` value-initialised elements (pointers: null); up to N of them without an allocation.
template <typename T, std::size_t N>
class InlineArray {
 public:
  explicit InlineArray(std::size_t size)
      : size_(size), data_(size > N ? static_cast<T*>(::operator new(size * sizeof(T))) : Inline()) {
    if constexpr (std::is_pointer_v<T>) {
      std::fill_n(data_, size_, nullptr);
    } else {
      std::uninitialized_default_construct_n(data_, size_);
    }
  }
  ~InlineArray() {
    std::destroy_n(data_, size_);
    if (data_ != Inline()) ::operator delete(data_);
  }
  InlineArray(const InlineArray&) = delete;
  InlineArray& operator=(const InlineArray&) = delete;

  std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* Inline() { return reinterpret_cast<T*>(inline_); }

  alignas(T) unsigned char inline_[N * sizeof(T)];
  std::size_t size_;
  T* data_;
};

// One input or output of a signature, and the positions of its components in the flat order.
struct Slot {
  PyObject* key;  // interned, never freed
  const TensorSpec* spec;
  std::size_t first;
  std::size_t count;
};

std::vector<Slot> MakeSlots(const std::vector<TensorSpec>& specs);

// Slot of `name`, or nullptr. Requires GIL.
const Slot* FindSlot(const std::vector<Slot>& slots, PyObject* name);

// Values by slot of a signature's inputs, nullptr if omitted. Requires GIL.
class Given {
 public:
  // Both must outlive it.
  Given(const std::string& label, const std::vector<Slot>& slots)
      : label_(label), slots_(slots), values_(slots.size()) {}
  ~Given();
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;
  PyObject* const* data() const { return values_.data(); }

  // The arguments of a call: by position and by name, or one dict. Raises TypeError.
  void Call(PyObject* const* args, std::size_t count, PyObject* names);
  // Holds the values: another thread may empty the dict during the run.
  void Dict(PyObject* dict);

 private:
  void Positional(PyObject* const* args, std::size_t count);
  void Named(PyObject* name, PyObject* value);

  const std::string& label_;
  const std::vector<Slot>& slots_;
  InlineArray<PyObject*, 16> values_;
  bool owned_ = false;
};

// Converts the value of each slot (nullptr: omitted) to dense tensors. Raises TypeError for a missing one.
// With `caller_holds`, the values must outlive the tensors. Requires GIL.
void ConvertInputs(const std::vector<Slot>& slots, PyObject* const* given, const Function& function,
                   const std::string& label, Tensor* tensors, std::vector<std::string>* why = nullptr,
                   bool caller_holds = true);

// Converts a slot's results to arrays: one, or a SparseTensor / RaggedTensor / tuple of them.
py::object ConvertOutput(const Slot& slot, Tensor* tensors);

// Run options made from a `timeout` in seconds or None, and serialized RunOptions.
struct CallOptions {
  RunOptions run;
  bool given = false;
};
void SetTimeout(PyObject* timeout, CallOptions* options);

// "signature 's' takes x: float32 [?, 3], y: ..."
std::string DescribeInputs(const std::string& label, const std::vector<Slot>& slots);

}  // namespace savedmodel::python
