// SPDX-License-Identifier: Apache-2.0
// Warm-up requests, and tf.train.Example.
#include "savedmodel/warmup.h"

#include <pybind11/stl.h>

#include <exception>
#include <utility>

#include "bindings.h"
#include "model.h"
#include "numpy.h"
#include "runtime.h"
#include "savedmodel/error.h"

namespace savedmodel::python {
namespace {

// A signature, its inputs by name, the outputs that are asked for.
using Given = std::tuple<std::string, std::map<std::string, std::pair<TensorSpec, py::object>>,
                         std::vector<std::string>>;

std::size_t Record(const std::string& path, const std::vector<Given>& given, bool append) {
  std::vector<WarmupRequest> requests;
  for (const auto& [signature, inputs, outputs] : given) {
    WarmupRequest request{signature, {}, outputs, {}};
    for (const auto& [name, value] : inputs) {
      request.inputs[name] =
          ToTensor(value.second.ptr(), value.first, "signature '" + signature + "'", false);
    }
    requests.push_back(std::move(request));
  }
  return WithoutGil([&] { return RecordWarmup(path, requests, append); });
}

std::size_t Replay(const ModelHandle& handle, const py::function& warn) {
  std::vector<std::string> warnings;
  std::size_t count = 0;
  std::exception_ptr failed;
  try {
    count = WithoutGil([&] { return ReplayWarmup(handle.model, &warnings); });
  } catch (const Error&) {
    failed = std::current_exception();
  }
  for (const std::string& text : warnings) warn(text);
  if (failed != nullptr) std::rethrow_exception(failed);
  return count;
}

}  // namespace

void bind_warmup(py::module_& m) {
  py::class_<WarmupRequest>(m, "WarmupRequest", "What a signature was asked.")
      .def_readonly("signature", &WarmupRequest::signature)
      .def_property_readonly(
          "inputs",
          [](const WarmupRequest& request) -> py::object {
            if (request.examples) return py::none();
            py::dict inputs;
            for (const auto& [name, tensor] : request.inputs) inputs[py::str(name)] = ToNumpy(tensor);
            return inputs;
          },
          "Arrays by the signature's names; None if there are examples.")
      .def_property_readonly(
          "outputs", [](const WarmupRequest& request) { return py::tuple(py::cast(request.outputs)); },
          "Those that were asked for; () is all.")
      .def_property_readonly(
          "examples",
          [](const WarmupRequest& request) {
            return request.examples ? ToNumpy(request.examples) : py::object(py::none());
          },
          "Serialized tf.train.Examples for the only input, or None.");
  m.def("read_warmup", [](const std::string& path) { return WithoutGil([&] { return ReadWarmup(path); }); });
  m.def("record_warmup", &Record);
  m.def("replay_warmup", &Replay);
  m.def("serialize_example", [](const std::map<std::string, Feature>& features) {
    return py::bytes(WithoutGil([&] { return SerializeExample(features); }));
  });
}

}  // namespace savedmodel::python
