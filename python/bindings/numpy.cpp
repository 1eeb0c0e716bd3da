// SPDX-License-Identifier: Apache-2.0
#include "numpy.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bindings.h"
#include "gil.h"

namespace savedmodel::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

constexpr int kCContiguous = npy_api::NPY_ARRAY_C_CONTIGUOUS_;
constexpr int kAligned = npy_api::NPY_ARRAY_ALIGNED_;
constexpr int kWriteable = npy_api::NPY_ARRAY_WRITEABLE_;
constexpr std::size_t kDTypes = 34;

// --- dtypes ---------------------------------------------------------------------------------------------

struct NumpyName {
  const char* name;
  bool ml_dtypes;
};

NumpyName NameOf(DType dtype) {
  switch (dtype) {
    case DType::kQInt8:
      return {"int8", false};
    case DType::kQUInt8:
      return {"uint8", false};
    case DType::kQInt16:
      return {"int16", false};
    case DType::kQUInt16:
      return {"uint16", false};
    case DType::kQInt32:
      return {"int32", false};
    case DType::kString:
    case DType::kResource:
    case DType::kVariant:
    case DType::kInvalid:
      return {"object", false};
    case DType::kBFloat16:
    case DType::kFloat8E5M2:
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E4M3B11FNUZ:
    case DType::kFloat8E5M2FNUZ:
    case DType::kInt4:
    case DType::kUInt4:
    case DType::kInt2:
    case DType::kUInt2:
    case DType::kFloat4E2M1FN:
      return {DTypeName(dtype), true};
    default:
      return {DTypeName(dtype), false};
  }
}

// numpy's descriptor of each DType, created on first use and kept.
PyObject* Descriptor(DType dtype) {
  static PyObject* descriptors[kDTypes];
  const auto index = static_cast<std::size_t>(dtype);
  if (index >= kDTypes) throw py::type_error("this tensor's type has no numpy dtype");
  if (descriptors[index] == nullptr) {
    const NumpyName name = NameOf(dtype);
    const py::object argument = name.ml_dtypes ? py::object(py::module_::import("ml_dtypes").attr(name.name))
                                               : py::object(py::str(name.name));
    descriptors[index] = py::module_::import("numpy").attr("dtype")(argument).release().ptr();
  }
  return descriptors[index];
}

// type_num of an array's or dtype's descriptor; -1 if its bytes are swapped.
int NativeTypeNum(PyObject* descriptor) {
  const auto* proxy = py::detail::array_descriptor_proxy(descriptor);
  return proxy->byteorder == '>' ? -1 : proxy->type_num;
}

// --- lifetimes ------------------------------------------------------------------------------------------

// Objects for the next call with the GIL to release: a TensorFlow thread must not ask for the GIL.
struct Released {
  std::mutex mutex;
  std::vector<PyObject*> objects;
  std::atomic<bool> any{false};
};
Released& GetReleased() {
  static auto* released = new Released;
  return *released;
}

int DropPending(void*) {
  DropReleased();
  return 0;
}

void ReleaseObject(PyObject* object) {
  if (object == nullptr) return;
  if (!gil_is_released && !InterpreterEnds() && PyGILState_Check()) {
    Py_DECREF(object);
    return;
  }
  Released& released = GetReleased();
  {
    std::lock_guard<std::mutex> lock(released.mutex);
    released.objects.push_back(object);
    released.any.store(true, std::memory_order_release);
  }
  if (!InterpreterEnds()) Py_AddPendingCall(&DropPending, nullptr);
}

}  // namespace

std::shared_ptr<const void> Keep(PyObject* object) {
  Py_INCREF(object);
  return std::shared_ptr<const void>(
      object, [](const void* kept) { ReleaseObject(static_cast<PyObject*>(const_cast<void*>(kept))); });
}

namespace {

// Called by the engine, on the run's own thread, if TensorFlow keeps an array.
std::shared_ptr<const void> KeepLent(const void* handle) {
  const py::gil_scoped_acquire acquire;
  return Keep(static_cast<PyObject*>(const_cast<void*>(handle)));
}

// --- in -------------------------------------------------------------------------------------------------

std::string Where(const std::string& label, const TensorSpec& spec) {
  return label + ", input '" + spec.key + "'";
}

[[noreturn]] void RefuseType(const std::string& label, const TensorSpec& spec, const std::string& got,
                             const std::string& hint = "") {
  throw py::type_error(Where(label, spec) + ": expected " + spec.ToString() + ", got " + got + hint);
}

bool HasAttribute(PyObject* value, const char* name) { return PyObject_HasAttrString(value, name) == 1; }

// Views any memory: numpy's own protocols, the buffer protocol, DLPack.
py::object ViewAsArray(PyObject* value) {
  const py::module_ numpy = py::module_::import("numpy");
  const bool numpy_protocol = HasAttribute(value, "__array_interface__") ||
                              HasAttribute(value, "__array_struct__") || HasAttribute(value, "__array__");
  if (!numpy_protocol && HasAttribute(value, "__dlpack__"))
    return numpy.attr("from_dlpack")(py::handle(value));
  const bool text = PyBytes_Check(value) || PyByteArray_Check(value);
  if (numpy_protocol || (PyObject_CheckBuffer(value) && !text))
    return numpy.attr("asarray")(py::handle(value));
  return py::none();
}

// Copies `array` into new memory; numpy handles swaps, strides and casts.
Tensor CopyArray(const py::handle& array, const TensorSpec& spec) {
  const Shape shape = ShapeOf(array.ptr());
  Tensor copy = Tensor::Empty(spec.dtype, shape);
  const py::object view = ToNumpy(copy);
  if (npy_api::get().PyArray_CopyInto_(view.ptr(), array.ptr()) != 0) throw py::error_already_set();
  return copy;
}

// Converts Python numbers and lists of them by Python's rules.
py::object FromNumbers(PyObject* value, const TensorSpec& spec, const std::string& label) {
  try {
    const py::object convert = py::module_::import("savedmodel._numbers").attr("to_array");
    return convert(py::handle(value), py::handle(Descriptor(spec.dtype)));
  } catch (py::error_already_set& error) {
    const std::string message =
        Where(label, spec) + ": expected " + spec.ToString() + ", got " + std::string(py::str(error.value()));
    if (error.matches(PyExc_TypeError)) throw py::type_error(message);
    if (error.matches(PyExc_ValueError)) throw py::value_error(message);
    throw;
  }
}

void RefuseMaskedItems(PyObject* value, const std::string& where) {
  try {
    py::module_::import("savedmodel._numbers").attr("refuse_masked")(py::handle(value));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError)) throw;
    throw py::value_error(where + ": " + std::string(py::str(error.value())));
  }
}

// A private object array of bytes and str, with views on them.
struct StringArray {
  py::object array;
  std::vector<std::string_view> views;
  ~StringArray() { ReleaseObject(array.release().ptr()); }
};

Tensor FromStrings(PyObject* value, const TensorSpec& spec, const std::string& label) {
  const py::module_ numpy = py::module_::import("numpy");
  py::object array = py::reinterpret_borrow<py::object>(value);
  if (!py::isinstance<py::array>(array)) {
    const py::object view = ViewAsArray(value);
    if (view.is_none()) RefuseMaskedItems(value, Where(label, spec));
    array = view.is_none() ? py::object(numpy.attr("asarray")(array, "object")) : view;
  }
  const std::string kind = py::str(array.attr("dtype").attr("kind"));
  if (kind != "O" && kind != "S" && kind != "U" && kind != "T") {
    RefuseType(label, spec, Describe(array), "; pass strings as an array of object, S, U or StringDType");
  }
  // A copy, so that no other thread can replace its objects during the run.
  auto strings = std::make_shared<StringArray>();
  try {
    strings->array = numpy.attr("array")(array, py::arg("dtype") = "object", py::arg("order") = "C");
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_SystemError)) throw;  // numpy raises it for code points beyond Unicode
    throw py::value_error(Where(label, spec) + ": the array has code points beyond Unicode");
  }
  const Shape shape = ShapeOf(strings->array.ptr());
  auto** items = reinterpret_cast<PyObject**>(array_proxy(strings->array.ptr())->data);
  strings->views.reserve(shape.num_elements());
  for (std::size_t i = 0; i < shape.num_elements(); ++i) {
    Py_ssize_t size = 0;
    const char* data = nullptr;
    if (items[i] != nullptr && PyBytes_Check(items[i])) {
      data = PyBytes_AS_STRING(items[i]);
      size = PyBytes_GET_SIZE(items[i]);
    } else if (items[i] != nullptr && PyUnicode_Check(items[i])) {
      data = PyUnicode_AsUTF8AndSize(items[i], &size);
      if (data == nullptr) {
        const py::error_already_set error;  // clears Python's error, which names no input
        if (!error.matches(PyExc_UnicodeEncodeError)) throw error;
        throw py::value_error(Where(label, spec) + ": the str at flat index " + std::to_string(i) +
                              " has a lone surrogate, which UTF-8 can't encode");
      }
    } else {
      RefuseType(label, spec,
                 std::string("an element of type ") + (items[i] ? Py_TYPE(items[i])->tp_name : "NULL") +
                     " at flat index " + std::to_string(i),
                 "; strings are bytes or str");
    }
    strings->views.emplace_back(data, static_cast<std::size_t>(size));
  }
  const std::string_view* views = strings->views.data();
  return Tensor::WrapStrings(shape, views, std::move(strings));
}

// `caller_holds`: the caller owns the array, so the run need not hold it.
Tensor FromArray(const py::handle& array, const TensorSpec& spec, const std::string& label, std::string* why,
                 bool caller_holds) {
  const auto* proxy = array_proxy(array.ptr());
  PyObject* wanted = Descriptor(spec.dtype);
  const bool same_type = proxy->descr == wanted ||
                         NativeTypeNum(proxy->descr) == py::detail::array_descriptor_proxy(wanted)->type_num;
  if (!same_type && !npy_api::get().PyArray_EquivTypes_(proxy->descr, wanted)) {
    const py::object native = py::handle(proxy->descr).attr("newbyteorder")("=");
    if (!npy_api::get().PyArray_EquivTypes_(native.ptr(), wanted)) {
      const std::string name = py::str(py::handle(wanted));
      RefuseType(label, spec, Describe(array), "; convert it with .astype('" + name + "')");
    }
    if (why != nullptr) *why = "its bytes are in the other order";
    return CopyArray(array, spec);
  }
  if ((proxy->flags & kCContiguous) == 0) {
    if (why != nullptr) *why = "it is not C-contiguous";
    return CopyArray(array, spec);
  }
  const Shape shape = ShapeOf(array.ptr());
  Tensor tensor = caller_holds ? Tensor::Lend(spec.dtype, shape, proxy->data, array.ptr(), &KeepLent)
                               : Tensor::Wrap(spec.dtype, shape, proxy->data, Keep(array.ptr()));
  if (why != nullptr && !tensor.aligned() && tensor.byte_size() > 0) {
    *why = "its memory is not aligned to " + std::to_string(kAlignment) + " bytes (see savedmodel.empty)";
  }
  return tensor;
}

// --- out ------------------------------------------------------------------------------------------------

py::object StringsToNumpy(const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  py::array array(py::dtype("O"), std::vector<py::ssize_t>(shape.begin(), shape.end()));
  auto** items = reinterpret_cast<PyObject**>(array_proxy(array.ptr())->data);
  const Span<const std::string_view> strings = tensor.strings();
  for (std::size_t i = 0; i < tensor.num_elements(); ++i) {
    PyObject* bytes =
        PyBytes_FromStringAndSize(strings[i].data(), static_cast<Py_ssize_t>(strings[i].size()));
    if (bytes == nullptr) throw py::error_already_set();
    Py_XSETREF(items[i], bytes);
  }
  return array;
}

// Base object of the arrays that view a tensor's memory. (A capsule would need two more allocations.)
struct Owner {
  PyObject_HEAD std::shared_ptr<const void> memory;
};

void DeallocOwner(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<Owner*>(self)->memory.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* MakeOwner(std::shared_ptr<const void> memory) {
  static PyTypeObject* type = [] {
    static PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(&DeallocOwner)}, {0, nullptr}};
    static PyType_Spec spec = {"savedmodel._core._Memory", sizeof(Owner), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  }();
  if (type == nullptr) throw py::error_already_set();
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) throw py::error_already_set();
  new (&reinterpret_cast<Owner*>(self)->memory) std::shared_ptr<const void>(std::move(memory));
  return self;
}

}  // namespace

// numpy's C functions ignore the mask and see the values below it.
void RefuseMasked(PyObject* array, const std::string& where) {
  PyObject* masked = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy.ma");
  if (masked == nullptr) return;  // numpy.ma is not loaded, so there are no masked arrays
  if (!py::module_::import("numpy.ma").attr("is_masked")(py::handle(array)).cast<bool>()) return;
  throw py::value_error(where + ": the array is masked, and its mask would be lost; replace its masked " +
                        "elements with .filled(value)");
}

Shape ShapeOf(PyObject* array) {
  const auto* proxy = array_proxy(array);
  static_assert(sizeof(*proxy->dimensions) == sizeof(std::int64_t));
  return Shape(reinterpret_cast<const std::int64_t*>(proxy->dimensions), static_cast<std::size_t>(proxy->nd));
}

std::string Describe(const py::handle& array) {
  const std::string dtype = py::str(array.attr("dtype"));
  return dtype + " " + ShapeOf(array.ptr()).ToString();
}

Tensor ToTensor(PyObject* value, const TensorSpec& spec, const std::string& label, bool caller_holds,
                std::string* why) {
  if (why != nullptr) why->clear();
  const bool plain = Py_TYPE(value) == npy_api::get().PyArray_Type_;
  const bool subclass = !plain && npy_api::get().PyArray_Check_(value);
  if (subclass) RefuseMasked(value, Where(label, spec));
  if (spec.dtype == DType::kString) {
    if (why != nullptr) *why = "strings are copied";
    return FromStrings(value, spec, label);
  }
  if (plain || subclass) return FromArray(value, spec, label, why, caller_holds);
  const py::object view = ViewAsArray(value);
  if (!view.is_none()) return FromArray(view, spec, label, why, false);
  Tensor tensor = FromArray(FromNumbers(value, spec, label), spec, label, why, false);
  if (why != nullptr) *why = std::string("it is not an array but a ") + Py_TYPE(value)->tp_name;
  return tensor;
}

py::object ToNumpy(Tensor tensor) {
  if (tensor.dtype() == DType::kString) return StringsToNumpy(tensor);
  PyObject* descriptor = Descriptor(tensor.dtype());
  Py_INCREF(descriptor);  // NewFromDescr steals a reference
  static_assert(sizeof(Py_intptr_t) == sizeof(std::int64_t));
  const Shape& shape = tensor.shape();
  const int flags = kCContiguous | kAligned | (tensor.writable() ? kWriteable : 0);
  const bool empty = tensor.num_elements() == 0;  // numpy needs a unique address
  auto array = py::reinterpret_steal<py::object>(npy_api::get().PyArray_NewFromDescr_(
      npy_api::get().PyArray_Type_, descriptor, static_cast<int>(shape.size()),
      reinterpret_cast<const Py_intptr_t*>(shape.data()), nullptr,
      empty ? nullptr : const_cast<void*>(tensor.data()), empty ? 0 : flags, nullptr));
  if (!array) throw py::error_already_set();
  if (empty) return array;
  if (npy_api::get().PyArray_SetBaseObject_(array.ptr(), MakeOwner(std::move(tensor).release_owner())) != 0) {
    throw py::error_already_set();
  }
  return array;
}

py::object NumpyDType(DType dtype) { return py::reinterpret_borrow<py::object>(Descriptor(dtype)); }

void DropReleased() {
  Released& released = GetReleased();
  if (!released.any.load(std::memory_order_acquire)) return;
  std::vector<PyObject*> objects;
  {
    std::lock_guard<std::mutex> lock(released.mutex);
    objects.swap(released.objects);
    released.any.store(false, std::memory_order_release);
  }
  for (PyObject* object : objects) Py_DECREF(object);
}

}  // namespace savedmodel::python
