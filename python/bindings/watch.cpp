// SPDX-License-Identifier: Apache-2.0
// Watched: Python functions are called by threads of Python's only, without a lock that needs the GIL.
#include "watch.h"

#include <pybind11/stl.h>

#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "bindings.h"
#include "errors.h"
#include "gil.h"
#include "model.h"
#include "numpy.h"
#include "runtime.h"
#include "savedmodel/error.h"

namespace savedmodel::python {
namespace {

// str(value), or the name of its type where that raises.
std::string TextOf(const py::object& value) {
  try {
    return py::bytes(py::str(value).attr("encode")("utf-8", "backslashreplace"));
  } catch (const py::error_already_set&) {
    return Py_TYPE(value.ptr())->tp_name;
  }
}

// What Python code raised, on its way through C++: kCancelled for what is no Exception (KeyboardInterrupt,
// SystemExit). Its traceback would keep what its frames hold.
class Raised : public Error {
 public:
  explicit Raised(const py::error_already_set& error)
      : Error(error.matches(PyExc_Exception) ? Code::kUnknown : Code::kCancelled, TextOf(error.value())),
        value_(Keep(error.value().ptr())) {
    error.value().attr("__traceback__") = py::none();
  }
  PyObject* value() const { return static_cast<PyObject*>(const_cast<void*>(value_.get())); }

 private:
  std::shared_ptr<const void> value_;
};

// A Python function that C++ code calls and frees without the GIL.
class Callback {
 public:
  explicit Callback(const py::function& function) : kept_(Keep(function.ptr())) {}

  // Requires GIL.
  template <typename... Arguments>
  void operator()(Arguments&&... arguments) const {
    try {
      py::handle(static_cast<PyObject*>(const_cast<void*>(kept_.get())))(
          std::forward<Arguments>(arguments)...);
    } catch (const py::error_already_set& error) {
      throw Raised(error);
    }
  }

 private:
  std::shared_ptr<const void> kept_;
};

py::object AsPython(const std::exception_ptr& thrown) {
  if (thrown == nullptr) return py::none();
  try {
    std::rethrow_exception(thrown);
  } catch (const Raised& raised) {
    return py::reinterpret_borrow<py::object>(raised.value());
  } catch (const std::system_error& error) {
    return py::reinterpret_borrow<py::object>(PyExc_OSError)(error.code().value(), error.what());
  } catch (...) {
    SetPythonError(thrown);
  }
  return py::error_already_set().value();
}

py::str Text(const std::string& text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

// Without the GIL; raises what a callback raised.
template <typename Call>
void Look(const Call& call) {
  WatchForInterrupts();
  try {
    WithoutGil(call);
  } catch (const Raised& raised) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.value())), raised.value());
    throw py::error_already_set();
  }
}

std::unique_ptr<WatchHandle> Start(const std::string& directory, double poll, const LoadOptions& load,
                                   const py::function& warm_up, const py::function& on_switch,
                                   const py::function& on_change) {
  WatchOptions options;
  options.load = load;
  options.poll = poll;
  options.required = false;
  options.close_replaced = true;
  options.own_thread = false;
  options.warm_up = [call = Callback(warm_up)](const Model& model) {
    const AcquireGil gil;
    call(std::make_unique<ModelHandle>(model));
  };
  options.on_switch = [call = Callback(on_switch)](std::int64_t version, const Model&) {
    const AcquireGil gil;
    call(version);
  };
  options.on_change = [call = Callback(on_change)](const VersionChange& change) {
    const AcquireGil gil;
    call(change.version, change.previous, AsPython(change.exception), change.seconds);
  };
  auto handle = std::make_unique<WatchHandle>();
  Look([&] { handle->watched = Watched::Start(directory, std::move(options)); });
  return handle;
}

py::tuple Status(const WatchHandle& handle) {
  WatchStatus status;
  {
    const ReleaseGil release;
    status = handle.watched.status();
  }
  py::dict failed;
  for (const auto& [version, why] : status.failed) failed[py::int_(version)] = Text(why);
  return py::make_tuple(status.loading, py::tuple(py::cast(status.draining)), failed, Text(status.error),
                        status.switches);
}

}  // namespace

void bind_watch(py::module_& m) {
  py::class_<WatchHandle>(m, "Watched", "The newest version of a model, for a thread of Python's to watch.")
      .def(py::init(&Start), py::arg("directory"), py::arg("poll"), py::arg("load"), py::arg("warm_up"),
           py::arg("on_switch"), py::arg("on_change"))
      .def("refresh", [](WatchHandle& handle) { Look([&] { handle.watched.Refresh(); }); })
      .def("wait", [](WatchHandle& handle) { return WithoutGil([&] { return handle.watched.Wait(); }); })
      .def("stop",
           [](WatchHandle& handle) {
             const ReleaseGil release;
             handle.watched.Stop();
           })
      .def("close", [](WatchHandle& handle) { WithoutGil([&] { handle.watched.Close(); }); })
      .def("status", &Status, "loading, draining, failed, error, switches");
}

}  // namespace savedmodel::python
