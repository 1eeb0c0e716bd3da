// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <pybind11/stl.h>

#include <memory>

#include "arguments.h"
#include "bindings.h"
#include "numpy.h"
#include "runtime.h"
#include "savedmodel/error.h"
#include "savedmodel/runtime.h"
#include "savedmodel/saved_function.h"

namespace savedmodel::python {
namespace {

std::unique_ptr<ModelHandle> Load(const std::string& path, const LoadOptions& options) {
  std::unique_ptr<ModelHandle> handle;
  WatchForInterrupts();
  try {
    const ReleaseGil release;
    handle = std::make_unique<ModelHandle>(Model::Load(path, options));
  } catch (const Error&) {
    AfterCall();  // passes on TensorFlow's log records
    throw;
  }
  AfterCall();
  return handle;
}

py::tuple RunTensors(const ModelHandle& handle, const std::vector<std::string>& fetches,
                     const std::vector<std::string>& feeds, const std::vector<std::string>& targets,
                     const py::tuple& values, const py::object& timeout, Trace* trace,
                     const std::string& proto) {
  static const std::string label = "run by tensor name";
  Function function;
  {
    const ReleaseGil release;
    function = handle.model.function(fetches, feeds, targets);
  }
  CallOptions options;
  SetTimeout(timeout.ptr(), &options);
  options.run.proto = proto;
  std::vector<Tensor> inputs(function.inputs().size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = ToTensor(values[i].ptr(), function.inputs()[i], label, true);
  }
  std::vector<Tensor> outputs(function.outputs().size());
  {
    const ReleaseGil release;
    function.Run(inputs, outputs, &options.run, trace);
  }
  py::tuple results(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) results[i] = ToNumpy(outputs[i]);
  AfterCall();
  return results;
}

const char* KindName(const Structure& value) {
  static constexpr const char* names[] = {"tensor", "none",  "bool", "int",        "float", "string",
                                          "list",   "tuple", "dict", "namedtuple", "dtype", "other"};
  return names[static_cast<int>(value.kind)];
}

py::dict ByBound(const std::array<std::uint64_t, RunCounters::kBuckets>& latency) {
  py::dict counts;
  for (std::size_t i = 0; i < latency.size(); ++i) {
    if (latency[i] > 0) counts[py::float_(RunCounters::UpperBound(i))] = latency[i];
  }
  return counts;
}

py::object Counters(const ModelHandle& handle) {
  if (!handle.model.options().counters) return py::none();
  const std::vector<RunCounters> read = WithoutGil([&] { return handle.model.Counters(); });
  py::list all;
  for (const RunCounters& run : read) {
    py::dict one, errors, error_seconds, error_latency;
    for (const auto& [code, failed] : run.failures) {
      const py::str name = CodeName(code);
      errors[name] = run.errors[static_cast<std::size_t>(code)];
      error_seconds[name] = failed.total_seconds;
      error_latency[name] = ByBound(failed.latency);
    }
    one["signature"] = run.signature;
    one["outputs"] = py::tuple(py::cast(run.outputs));
    one["successes"] = run.successes;
    one["errors"] = errors;
    one["seconds"] = run.total_seconds;
    one["latency"] = ByBound(run.latency);
    one["error_seconds"] = error_seconds;
    one["error_latency"] = error_latency;
    one["queued"] = run.queued;
    one["queue_seconds"] = run.queue_seconds;
    all.append(one);
  }
  return std::move(all);
}

}  // namespace

void bind_model(py::module_& m) {
  py::class_<SessionOptions>(m, "SessionOptions")
      .def(py::init<>())
      .def_readwrite("inter_op_threads", &SessionOptions::inter_op_threads)
      .def_readwrite("gpu_memory_fraction", &SessionOptions::gpu_memory_fraction)
      .def_readwrite("allow_growth", &SessionOptions::allow_growth)
      .def_readwrite("visible_gpus", &SessionOptions::visible_gpus)
      .def_readwrite("allow_soft_placement", &SessionOptions::allow_soft_placement)
      .def_readwrite("log_device_placement", &SessionOptions::log_device_placement)
      .def_readwrite("xla", &SessionOptions::xla)
      .def_property(
          "config", [](const SessionOptions& options) { return py::bytes(options.config); },
          [](SessionOptions& options, const py::bytes& config) { options.config = config; });
  m.def("default_cache_directory", &DefaultCacheDirectory);
  m.def("parse_session_config", [](const std::string& text) { return py::bytes(ParseSessionConfig(text)); });
  py::class_<LoadOptions>(m, "LoadOptions")
      .def(py::init([] {
        LoadOptions options;
        options.counters = false;
        options.max_queue = 16384;
        return options;
      }))
      .def_readwrite("tags", &LoadOptions::tags)
      .def_readwrite("device", &LoadOptions::device)
      .def_readwrite("threads", &LoadOptions::threads)
      .def_readwrite("session", &LoadOptions::session)
      .def("set_optimize",
           [](LoadOptions& options, const std::string& level) {
             options.optimize = level == "none"   ? Optimize::kNone
                                : level == "bf16" ? Optimize::kBf16
                                : level == "int8" ? Optimize::kInt8
                                                  : Optimize::kDefault;
           })
      .def_readwrite("float32_layers", &LoadOptions::float32_layers)
      .def_readwrite("op_libraries", &LoadOptions::op_libraries)
      .def_readwrite("cache", &LoadOptions::cache)
      .def_readwrite("counters", &LoadOptions::counters)
      .def("set_op_rules",
           [](LoadOptions& options, std::map<std::string, std::string> refused, std::set<std::string> known) {
             options.op_rules = OpRules{std::move(refused), std::move(known)};
           })
      .def("set_run",
           [](LoadOptions& options, std::optional<double> timeout, bool trace, const py::bytes& proto) {
             options.run = {timeout, trace, proto, nullptr};
           });
  py::class_<PassReport>(m, "PassReport")
      .def_readonly("name", &PassReport::name)
      .def_readonly("what", &PassReport::what)
      .def_readonly("count", &PassReport::count)
      .def_readonly("seconds", &PassReport::seconds);
  py::class_<OptimizationReport>(m, "OptimizationReport")
      .def_readonly("function", &OptimizationReport::function)
      .def_readonly("optimized", &OptimizationReport::optimized)
      .def_readonly("why_not", &OptimizationReport::why_not)
      .def_readonly("passes", &OptimizationReport::passes)
      .def_readonly("notes", &OptimizationReport::notes)
      .def_readonly("nodes_before", &OptimizationReport::nodes_before)
      .def_readonly("nodes_after", &OptimizationReport::nodes_after)
      .def_readonly("variables_frozen", &OptimizationReport::variables_frozen)
      .def_readonly("frozen_bytes", &OptimizationReport::frozen_bytes)
      .def_readonly("seconds", &OptimizationReport::seconds)
      .def_readonly("executor", &OptimizationReport::executor)
      .def_readonly("effects", &OptimizationReport::effects)
      .def_readonly("int8_layers", &OptimizationReport::int8_layers);
  py::class_<Structure>(m, "Structure")
      .def_property_readonly("kind", &KindName)
      .def_readonly("text", &Structure::text)
      .def_readonly("number", &Structure::number)
      .def_readonly("real", &Structure::real)
      .def_readonly("keys", &Structure::keys)
      .def_readonly("items", &Structure::items);
  py::class_<ConcreteFunction>(m, "ConcreteFunction")
      .def_readonly("name", &ConcreteFunction::name)
      .def_readonly("arguments", &ConcreteFunction::arguments)
      .def_readonly("results", &ConcreteFunction::results);
  py::class_<SavedFunction>(m, "SavedFunction")
      .def_readonly("path", &SavedFunction::path)
      .def_readonly("parameters", &SavedFunction::parameters)
      .def_readonly("traces", &SavedFunction::traces)
      .def("describe", &SavedFunction::Describe);
  py::class_<ModelHandle>(m, "Model")
      .def_property_readonly("path", [](const ModelHandle& handle) { return handle.model.path(); })
      .def_property_readonly("default_signature",
                             [](const ModelHandle& handle) { return handle.model.default_signature(); })
      .def_property_readonly("signatures",
                             [](const ModelHandle& handle) { return handle.model.signatures(); })
      .def_property_readonly("variables", [](const ModelHandle& handle) { return handle.model.variables(); })
      .def("read_variable",
           [](const ModelHandle& handle, const std::string& name) {
             Tensor value;
             {
               const ReleaseGil release;
               value = handle.model.ReadVariable(name);
             }
             return ToNumpy(value);
           })
      .def("run_tensors", &RunTensors)
      .def("functions",
           [](const ModelHandle& handle) {
             const ReleaseGil release;
             return handle.model.functions();
           })
      .def("find_function", [](const ModelHandle& handle,
                               const std::string& path) { return handle.model.find_function(path); })
      .def("save_variables",
           [](const ModelHandle& handle, const std::string& target, bool as_saved_model) {
             const ReleaseGil release;
             handle.model.SaveVariables(target, as_saved_model);
           })
      .def("devices", [](const ModelHandle& handle) { return handle.model.devices(); })
      .def("optimization",
           [](const ModelHandle& handle) {
             const ReleaseGil release;
             return handle.model.Optimization();
           })
      .def("prepare",
           [](const ModelHandle& handle) {
             const ReleaseGil release;
             return handle.model.Prepare();
           })
      .def("placement",
           [](const ModelHandle& handle) {
             const ReleaseGil release;
             return handle.model.Placement();
           })
      .def("save_optimized",
           [](const ModelHandle& handle, const std::string& target,
              const std::optional<std::vector<std::string>>& functions, bool for_default) {
             const ReleaseGil release;
             handle.model.SaveOptimized(target, functions, for_default);
           })
      .def("weight_bytes",
           [](const ModelHandle& handle) { return WithoutGil([&] { return handle.model.weight_bytes(); }); })
      .def("counters", &Counters, "None if the model does not count.")
      .def("close",
           [](ModelHandle& handle) {
             {
               const ReleaseGil release;
               handle.model.Close();
             }
             AfterCall();
           })
      .def_property_readonly("closed", [](const ModelHandle& handle) { return handle.model.closed(); });
  m.def("load", &Load, py::arg("path"), py::arg("options"));
}

}  // namespace savedmodel::python
