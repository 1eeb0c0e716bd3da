// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include "numpy.h"

namespace savedmodel::python {
namespace {

// The components of a composite argument, in the flat order.
std::vector<py::object> SplitComposite(PyObject* value, const Slot& slot, const std::string& label) {
  const TensorSpec& spec = *slot.spec;
  const std::string where = label + ", input '" + spec.key + "'";
  const py::handle object(value);
  std::vector<py::object> parts;
  if (spec.encoding == Encoding::kSparse) {
    for (const char* part : {"indices", "values", "dense_shape"}) {
      if (!py::hasattr(object, part)) {
        throw py::type_error(where + ": expected a SparseTensor of " + spec.ToString() + ", got " +
                             Py_TYPE(value)->tp_name);
      }
      parts.push_back(object.attr(part));
    }
    return parts;
  }
  if (spec.encoding == Encoding::kRagged) {
    if (!py::hasattr(object, "flat_values") || !py::hasattr(object, "nested_row_splits")) {
      throw py::type_error(where + ": expected a RaggedTensor of " + spec.ToString() + ", got " +
                           Py_TYPE(value)->tp_name);
    }
    parts.push_back(object.attr("flat_values"));
    for (const py::handle splits : object.attr("nested_row_splits")) {
      parts.push_back(py::reinterpret_borrow<py::object>(splits));
    }
  } else if (PyTuple_Check(value) || PyList_Check(value)) {
    for (const py::handle part : object) parts.push_back(py::reinterpret_borrow<py::object>(part));
  }
  if (parts.size() != slot.count) {
    throw py::type_error(where + ": expected " + std::to_string(slot.count) + " component arrays, got " +
                         std::to_string(parts.size()));
  }
  return parts;
}

}  // namespace

std::vector<Slot> MakeSlots(const std::vector<TensorSpec>& specs) {
  std::vector<Slot> slots;
  std::size_t first = 0;
  for (const TensorSpec& spec : specs) {
    const std::size_t count = Flatten({spec}).size();
    PyObject* key =
        PyUnicode_DecodeUTF8(spec.key.data(), static_cast<Py_ssize_t>(spec.key.size()), "backslashreplace");
    if (key == nullptr) throw py::error_already_set();
    PyUnicode_InternInPlace(&key);
    slots.push_back({key, &spec, first, count});
    first += count;
  }
  return slots;
}

const Slot* FindSlot(const std::vector<Slot>& slots, PyObject* name) {
  for (const Slot& slot : slots) {  // names in source code are interned, and so are the slots' names
    if (slot.key == name) return &slot;
  }
  if (!PyUnicode_Check(name)) return nullptr;
  for (const Slot& slot : slots) {
    if (PyUnicode_Compare(slot.key, name) == 0) return &slot;
  }
  return nullptr;
}

std::string DescribeInputs(const std::string& label, const std::vector<Slot>& slots) {
  std::string text;
  for (const Slot& slot : slots)
    text += (text.empty() ? "" : ", ") + slot.spec->key + ": " + slot.spec->ToString();
  return label + " takes " + (text.empty() ? "no inputs" : text);
}

Given::~Given() {
  for (std::size_t i = 0; owned_ && i < slots_.size(); ++i) Py_XDECREF(values_[i]);
}

void Given::Call(PyObject* const* args, std::size_t count, PyObject* names) {
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  if (count == 1 && named == 0 && PyDict_Check(args[0])) {
    Dict(args[0]);
    return;
  }
  Positional(args, count);
  for (Py_ssize_t i = 0; i < named; ++i)
    Named(PyTuple_GET_ITEM(names, i), args[count + static_cast<std::size_t>(i)]);
}

void Given::Dict(PyObject* dict) {
  owned_ = true;
  Py_ssize_t position = 0;
  PyObject* name = nullptr;
  PyObject* value = nullptr;
  while (PyDict_Next(dict, &position, &name, &value) != 0) Named(name, value);
}

void Given::Positional(PyObject* const* args, std::size_t count) {
  if (count > slots_.size()) {
    throw py::type_error(label_ + ": got " + std::to_string(count) + " positional inputs; " +
                         DescribeInputs(label_, slots_));
  }
  std::copy_n(args, count, values_.data());
}

void Given::Named(PyObject* name, PyObject* value) {
  const Slot* slot = FindSlot(slots_, name);
  if (slot == nullptr) {
    throw py::type_error(label_ + ": unexpected input " + std::string(py::repr(py::handle(name))) + "; " +
                         DescribeInputs(label_, slots_));
  }
  PyObject*& place = values_[static_cast<std::size_t>(slot - slots_.data())];
  if (place != nullptr) throw py::type_error(label_ + ": input '" + slot->spec->key + "' is given twice");
  place = value;
  if (owned_) Py_INCREF(value);
}

void ConvertInputs(const std::vector<Slot>& slots, PyObject* const* given, const Function& function,
                   const std::string& label, Tensor* tensors, std::vector<std::string>* why,
                   bool caller_holds) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = slots[i];
    std::string* reason = nullptr;
    if (why != nullptr) reason = &why->emplace_back();
    if (given[i] == nullptr) {
      if (slot.spec->default_value.dtype() == DType::kInvalid) {
        throw py::type_error(label + ": missing input '" + slot.spec->key + "'; " +
                             DescribeInputs(label, slots));
      }
      tensors[slot.first] = slot.spec->default_value;
    } else if (slot.spec->encoding == Encoding::kDense) {
      tensors[slot.first] = ToTensor(given[i], function.inputs()[slot.first], label, caller_holds, reason);
    } else {
      const std::vector<py::object> parts = SplitComposite(given[i], slot, label);
      for (std::size_t part = 0; part < parts.size(); ++part) {
        std::string part_reason;
        const TensorSpec& spec = function.inputs()[slot.first + part];
        tensors[slot.first + part] = ToTensor(parts[part].ptr(), spec, label, false, &part_reason);
        if (reason != nullptr && !part_reason.empty())
          *reason += (reason->empty() ? "" : "; ") + spec.key + ": " + part_reason;
      }
    }
  }
}

py::object ConvertOutput(const Slot& slot, Tensor* tensors) {
  if (slot.spec->encoding == Encoding::kDense) return ToNumpy(std::move(tensors[slot.first]));
  const py::module_ composites = py::module_::import("savedmodel._composite");
  py::tuple parts(slot.count);
  for (std::size_t i = 0; i < slot.count; ++i) parts[i] = ToNumpy(std::move(tensors[slot.first + i]));
  if (slot.spec->encoding == Encoding::kSparse) return composites.attr("SparseTensor")(*parts);
  if (slot.spec->encoding != Encoding::kRagged) return std::move(parts);
  return composites.attr("ragged_from_parts")(parts[0],
                                              parts[py::slice(1, static_cast<py::ssize_t>(slot.count), 1)]);
}

void SetTimeout(PyObject* timeout, CallOptions* options) {
  if (timeout == nullptr || timeout == Py_None) return;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  options->run.timeout = seconds;
  options->given = true;
}

}  // namespace savedmodel::python
