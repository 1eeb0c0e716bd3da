// SPDX-License-Identifier: Apache-2.0
#include "out.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "gil.h"

namespace savedmodel::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

constexpr int kWriteable = npy_api::NPY_ARRAY_WRITEABLE_;

bool IsContiguous(PyObject* array) {
  return (array_proxy(array)->flags & npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
}

// Of arrays that numpy itself makes, only broadcasts overlap themselves. Hand-made strides are not checked
// further.
bool MayOverlapItself(PyObject* array) {
  if (IsContiguous(array)) return false;
  const auto view = py::reinterpret_borrow<py::array>(array);
  if (view.size() == 0) return false;
  std::vector<std::pair<py::ssize_t, py::ssize_t>> steps;
  for (py::ssize_t i = 0; i < view.ndim(); ++i) {
    if (view.shape(i) > 1) steps.emplace_back(std::abs(view.strides(i)), view.shape(i));
  }
  std::sort(steps.begin(), steps.end());
  py::ssize_t covered = view.itemsize();
  for (const auto& [stride, count] : steps) {
    if (stride < covered) return true;
    covered += stride * (count - 1);
  }
  return false;
}

}  // namespace

void CheckOut(PyObject* array, const TensorSpec& spec, const std::string& label) {
  const std::string where = label + ", out '" + spec.key + "'";
  if (!npy_api::get().PyArray_Check_(array)) {
    throw py::type_error(where + ": expected a numpy array of " + spec.ToString() + ", got " +
                         Py_TYPE(array)->tp_name);
  }
  const auto* proxy = array_proxy(array);
  const py::object wanted = NumpyDType(spec.dtype);
  if (proxy->descr != wanted.ptr() && !npy_api::get().PyArray_EquivTypes_(proxy->descr, wanted.ptr())) {
    throw py::type_error(where + ": expected " + spec.ToString() + ", got " + Describe(array));
  }
  if ((proxy->flags & kWriteable) == 0) throw py::value_error(where + ": the array is read-only");
  if (Py_TYPE(array) != npy_api::get().PyArray_Type_) RefuseMasked(array, where);
  if (MayOverlapItself(array)) {
    throw py::value_error(where + ": elements of the array overlap in memory, so results would be lost");
  }
}

bool Overlap(PyObject* a, PyObject* b) {
  if (IsContiguous(a) && IsContiguous(b)) {
    const auto first = py::reinterpret_borrow<py::array>(a);
    const auto second = py::reinterpret_borrow<py::array>(b);
    const auto* begin = static_cast<const char*>(first.data());
    const auto* other = static_cast<const char*>(second.data());
    return begin < other + second.nbytes() && other < begin + first.nbytes();
  }
  // Exact if that is cheap: a[::2] and a[1::2] share no element.
  constexpr int kMaxWork = 100000;
  try {
    return py::module_::import("numpy")
        .attr("shares_memory")(py::handle(a), py::handle(b), py::arg("max_work") = kMaxWork)
        .cast<bool>();
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_RuntimeError)) throw;  // numpy's TooHardError is a RuntimeError
    return true;
  }
}

void CopyOut(const Tensor& result, PyObject* array, const TensorSpec& spec, const std::string& label) {
  const auto* proxy = array_proxy(array);
  CheckOut(array, spec, label);  // check again: the GIL was released meanwhile
  if (ShapeOf(array) != result.shape()) {
    throw py::value_error(label + ", out '" + spec.key + "': the result is " + result.shape().ToString() +
                          ", the array " + ShapeOf(array).ToString());
  }
  const std::size_t bytes = result.byte_size();
  if (result.dtype() != DType::kString && IsContiguous(array) &&
      py::detail::array_descriptor_proxy(proxy->descr)->byteorder != '>') {
    // Release the GIL during a large copy.
    if (bytes > (1 << 16)) {
      const ReleaseGil release;
      std::memcpy(proxy->data, result.data(), bytes);
    } else if (bytes > 0) {
      std::memcpy(proxy->data, result.data(), bytes);
    }
    return;
  }
  if (npy_api::get().PyArray_CopyInto_(array, ToNumpy(result).ptr()) != 0) throw py::error_already_set();
}

void Outs::Check(const std::string& label, const std::vector<Slot>& slots, PyObject* out) {
  any_ = true;
  Py_ssize_t position = 0;
  PyObject* name = nullptr;
  PyObject* array = nullptr;
  while (PyDict_Next(out, &position, &name, &array) != 0) {
    const Slot* slot = FindSlot(slots, name);
    if (slot == nullptr) {
      throw py::key_error(label + ": out names " + std::string(py::repr(py::handle(name))) +
                          ", which is not among the outputs");
    }
    if (slot->spec->encoding != Encoding::kDense) {
      throw py::type_error(label + ", out '" + slot->spec->key +
                           "': a composite output can't be written to one array");
    }
    CheckOut(array, *slot->spec, label);
    const auto index = static_cast<std::size_t>(slot - slots.data());
    for (std::size_t other = 0; other < slots.size(); ++other) {
      if (other == index || !arrays_[other] || !Overlap(arrays_[other].ptr(), array)) continue;
      throw py::value_error(label + ": out has overlapping arrays for '" + slot->spec->key + "' and '" +
                            slots[other].spec->key + "': one result would be lost");
    }
    arrays_[index] = py::reinterpret_borrow<py::object>(array);
  }
}

}  // namespace savedmodel::python
