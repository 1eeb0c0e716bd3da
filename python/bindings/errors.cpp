// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <cstring>

#include "bindings.h"
#include "savedmodel/error.h"

namespace savedmodel::python {
namespace {

constexpr int kCodes = 17;
PyObject* error_classes[kCodes];  // by code; [0] is the root

struct Row {
  Code code;
  const char* name;
  const char* doc;
};
constexpr Row kClasses[] = {
    {Code::kCancelled, "CancelledError", "The run was stopped."},
    {Code::kUnknown, "UnknownError", "TensorFlow gave no better reason."},
    {Code::kInvalidArgument, "InvalidArgumentError", "TensorFlow refused an argument."},
    {Code::kDeadlineExceeded, "DeadlineExceededError", "The run's timeout passed."},
    {Code::kNotFound, "NotFoundError", "A file, tag set, node or op does not exist."},
    {Code::kAlreadyExists, "AlreadyExistsError", "Something exists already."},
    {Code::kPermissionDenied, "PermissionDeniedError", "A file may not be read."},
    {Code::kResourceExhausted, "ResourceExhaustedError", "Out of memory, on this machine or a device."},
    {Code::kFailedPrecondition, "FailedPreconditionError", "The state of the model or process forbids it."},
    {Code::kAborted, "AbortedError", "The run was aborted."},
    {Code::kOutOfRange, "OutOfRangeError", "Past the end: of a file, or of an input."},
    {Code::kUnimplemented, "UnimplementedError", "TensorFlow can't do this."},
    {Code::kInternal, "InternalError", "An invariant of TensorFlow's is broken."},
    {Code::kUnavailable, "UnavailableError", "A service is not available now."},
    {Code::kDataLoss, "DataLossError", "Files are truncated or corrupted."},
    {Code::kUnauthenticated, "UnauthenticatedError", "A service asks for credentials."},
};

// TensorFlow's messages may contain any bytes.
PyObject* Text(const char* message) {
  return PyUnicode_DecodeUTF8(message, static_cast<Py_ssize_t>(std::strlen(message)), "backslashreplace");
}

void Raise(PyObject* type, const char* message) {
  PyObject* text = Text(message);
  if (text == nullptr) return;
  PyErr_SetObject(type, text);
  Py_DECREF(text);
}

PyObject* UsageErrorClass(UsageError::Kind kind) {
  switch (kind) {
    case UsageError::Kind::kDType:
    case UsageError::Kind::kArguments:
      return PyExc_TypeError;
    case UsageError::Kind::kValue:
      return PyExc_ValueError;
    case UsageError::Kind::kName:
      return PyExc_KeyError;
  }
  return PyExc_ValueError;
}

}  // namespace

void SetPythonError(std::exception_ptr error) {
  try {
    std::rethrow_exception(std::move(error));
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const OutOfMemory& e) {
    Raise(PyExc_MemoryError, e.what());
  } catch (const UsageError& e) {
    Raise(UsageErrorClass(e.kind()), e.what());
  } catch (const Error& e) {
    // Ctrl-C ended the run: the handler raises KeyboardInterrupt.
    if (e.code() == Code::kCancelled && PyErr_CheckSignals() != 0) return;
    const int code = static_cast<int>(e.code());
    Raise(error_classes[code > 0 && code < kCodes ? code : 0], e.what());
  } catch (const py::builtin_exception& e) {
    e.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    Raise(error_classes[0], e.what());
  }
}

void bind_errors(py::module_& m) {
  error_classes[0] = PyErr_NewExceptionWithDoc(
      "savedmodel.Error", "The root of what TensorFlow rejects; one class below it for each status code.",
      PyExc_RuntimeError, nullptr);
  m.attr("Error") = py::handle(error_classes[0]);
  for (const Row& row : kClasses) {
    const std::string name = std::string("savedmodel.") + row.name;
    PyObject* type = PyErr_NewExceptionWithDoc(name.c_str(), row.doc, error_classes[0], nullptr);
    if (type == nullptr) throw py::error_already_set();
    error_classes[static_cast<int>(row.code)] = type;
    m.attr(row.name) = py::handle(type);
  }
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const Error&) {
      SetPythonError(error);
    }
  });
}

}  // namespace savedmodel::python
