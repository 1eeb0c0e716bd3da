// SPDX-License-Identifier: Apache-2.0
// savedmodel.Batcher: a plain CPython type, as savedmodel.Signature is.
#include "batcher.h"

#include <pybind11/stl.h>
#include <structmember.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "model.h"
#include "numpy.h"
#include "runtime.h"
#include "savedmodel/metrics.h"
#include "watch.h"

namespace savedmodel::python {

BatchArguments::BatchArguments(BatcherState& batcher_state, PyObject* const* args, Py_ssize_t count,
                               PyObject* names)
    : state(batcher_state),
      arguments(state.signature.label, args, count, names),
      given(state.signature.label, state.signature.inputs) {
  const std::pair<PyObject*, const char*> refused[] = {{arguments.outputs, "outputs"},
                                                       {arguments.out, "out"},
                                                       {arguments.trace, "trace"},
                                                       {arguments.options, "options"}};
  for (const auto& [value, name] : refused) {
    if (value != nullptr)
      throw py::type_error(std::string("a batcher's runs take no argument '") + name + "'");
  }
  if (arguments.inputs != nullptr) given.Dict(arguments.inputs);
  bool wants_trace = false;
  options = arguments.ReadOptions(&wants_trace);
}

std::vector<Tensor> BatchArguments::Inputs() const {
  const Function function =
      state.bound.function ? state.bound.function : WithoutGil([&] { return state.batcher.function(); });
  std::vector<Tensor> inputs(function.inputs().size());
  ConvertInputs(state.signature.inputs, given.data(), function, state.signature.label, inputs.data(), nullptr,
                false);
  return inputs;
}

py::object RunRequest(const BatcherState& state, const Given& given, const RunOptions* options) {
  const Function current =
      state.bound.function ? Function() : WithoutGil([&] { return state.batcher.function(); });
  const Function& function = state.bound.function ? state.bound.function : current;
  InlineArray<Tensor, 4> inputs(function.inputs().size());
  InlineArray<Tensor, 4> outputs(function.outputs().size());
  ConvertInputs(state.signature.inputs, given.data(), function, state.signature.label, inputs.data());
  {
    const ReleaseGil release;
    state.batcher.Run(inputs, outputs, options);
  }
  py::object results = Results(state.signature, state.bound, outputs.data(), Outs(0));
  AfterCall();
  return results;
}

namespace {

PyObject* VectorCall(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* names) {
  return Guarded([&] {
    const BatcherState& state = *BatcherOf(self);
    Given given(state.signature.label, state.signature.inputs);
    given.Call(args, static_cast<std::size_t>(PyVectorcall_NARGS(nargsf)), names);
    return RunRequest(state, given, nullptr);
  });
}

PyObject* Run(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&] {
    const BatchArguments request(*BatcherOf(self), args, count, names);
    return RunRequest(request.state, request.given, request.options.given ? &request.options.run : nullptr);
  });
}

// The tensors of a dict by input name, converted as a request's are.
std::map<std::string, Tensor> Scalars(const State& signature, const py::dict& values) {
  std::map<std::string, Tensor> scalars;
  for (const auto& [key, value] : values) {
    const Slot* const slot = FindSlot(signature.inputs, key.ptr());
    if (slot == nullptr) throw py::key_error(signature.label + " has no input " + std::string(py::repr(key)));
    TensorSpec scalar = *slot->spec;
    scalar.shape.emplace();
    scalars[slot->spec->key] = ToTensor(value.ptr(), scalar, signature.label + ", pad_value", false);
  }
  return scalars;
}

BatchOptions ReadOptions(const State& signature, const Function& function, const py::dict& given) {
  BatchOptions options;
  const auto read = [&](const char* name, auto* value) {
    if (!given[name].is_none()) *value = given[name].cast<std::decay_t<decltype(*value)>>();
  };
  read("max_batch_size", &options.max_batch_size);
  options.max_delay = Seconds(given["max_delay"].cast<double>());
  read("pad_to", &options.pad_to);
  read("batch_axis", &options.batch_axis);
  read("max_queue", &options.max_queue);
  read("max_concurrent", &options.max_concurrent);
  read("warm_up", &options.warm_up);
  if (!given["pad_value"].is_none()) options.pad_value = Scalars(signature, given["pad_value"]);
  if (!given["sample"].is_none()) {
    Given sample(signature.label, signature.inputs);
    sample.Dict(given["sample"].ptr());
    options.sample.resize(function.inputs().size());
    ConvertInputs(signature.inputs, sample.data(), function, signature.label, options.sample.data(), nullptr,
                  false);
  }
  return options;
}

void Describe(const savedmodel::Signature& info, const Bound& bound, State* state) {
  state->info = info;
  state->label = "signature '" + info.name + "'";
  state->inputs = MakeSlots(state->info.inputs);
  const auto specs = [](const auto& list) {
    py::dict dict;
    for (const auto& [key, spec] : list) dict[py::str(key)] = spec;
    return py::reinterpret_steal<py::object>(PyDictProxy_New(dict.ptr()));
  };
  std::vector<std::pair<std::string, TensorSpec>> inputs, outputs;
  for (const TensorSpec& spec : state->info.inputs) inputs.emplace_back(spec.key, spec);
  for (const Slot& slot : bound.slots) outputs.emplace_back(slot.spec->key, *slot.spec);
  state->input_specs = specs(inputs);
  state->output_specs = specs(outputs);
}

// Batcher(signature, outputs, options) or Batcher(watched, name, outputs, options).
PyObject* New(PyTypeObject* type, PyObject* args, PyObject*) {
  return Guarded([&]() -> py::object {
    const auto arguments = py::reinterpret_borrow<py::tuple>(args);
    const py::object signature_type = py::module_::import("savedmodel._core").attr("Signature");
    const bool watches = arguments.size() == 4 && py::isinstance<WatchHandle>(arguments[0]);
    if (!watches && (arguments.size() != 3 || !py::isinstance(arguments[0], signature_type))) {
      throw py::type_error("a Batcher can't be created directly; use savedmodel.batch");
    }
    const auto options = arguments[arguments.size() - 1].cast<py::dict>();
    const py::object keys = arguments[arguments.size() - 2];
    auto object = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!object) throw py::error_already_set();
    auto* self = reinterpret_cast<BatcherObject*>(object.ptr());
    self->vectorcall = &VectorCall;
    auto state = std::make_shared<BatcherState>();
    state->waits = options["max_delay"].cast<double>() > 0;
    State& signature = state->signature;
    Bound& bound = state->bound;
    if (watches) {
      const Watched& watched = arguments[0].cast<const WatchHandle&>().watched;
      const auto name = arguments[1].cast<std::string>();
      State now;
      now.model = WithoutGil([&] { return watched.model(); });
      const auto found = now.model.signatures().find(name);
      if (found == now.model.signatures().end())
        throw py::key_error("the model has no signature '" + name + "'");
      now.info = found->second;
      now.label = "signature '" + name + "'";
      const std::vector<std::string> outputs = OutputKeys(now, keys.ptr());
      const Bound& current = BindOutputs(now, outputs);
      bound.specs = current.specs;
      bound.slots = MakeSlots(bound.specs);
      Describe(now.info, bound, &signature);
      BatchOptions read = ReadOptions(signature, current.function, options);
      WatchForInterrupts();
      state->batcher = WithoutGil([&] { return Batcher::Start(watched, name, outputs, std::move(read)); });
      const ReleaseGil release;
      now.bound.clear();
      now.model = Model();
    } else {
      State& given = StateOf(arguments[0].ptr());
      const Bound& current = BindOutputs(given, OutputKeys(given, keys.ptr()));
      if (given.trace) throw py::type_error(given.label + ": only signatures can be batched");
      bound.specs = current.specs;
      bound.slots = MakeSlots(bound.specs);
      bound.function = current.function;
      Describe(given.info, bound, &signature);
      BatchOptions read = ReadOptions(signature, bound.function, options);
      WatchForInterrupts();
      state->batcher = WithoutGil([&] { return Batcher::Start(bound.function, std::move(read)); });
    }
    self->state = new std::shared_ptr<BatcherState>(std::move(state));
    return object;
  });
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  const auto* state = reinterpret_cast<BatcherObject*>(self)->state;
  if (state != nullptr) {
    (*state)->signature.input_specs = py::object();
    (*state)->signature.output_specs = py::object();
    (*state)->loops.clear();
    const ReleaseGil release;  // this may be the last reference to the session
    delete state;
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* Repr(PyObject* self) {
  return Guarded([&]() -> py::object {
    return py::str("<savedmodel.Batcher of " + BatcherOf(self)->signature.label + ">");
  });
}

PyObject* Reduce(PyObject*, PyObject*) {
  return Guarded(
      []() -> py::object { throw py::type_error("a Batcher can't be pickled; pickle its model"); });
}

PyObject* Statistics(PyObject* self, PyObject*) {
  return Guarded([&]() -> py::object {
    const Batcher& batcher = BatcherOf(self)->batcher;
    const BatchStatistics read = WithoutGil([&] { return batcher.Statistics(); });
    py::dict sizes, seconds;
    for (std::size_t i = 0; i < read.sizes.size(); ++i) {
      const bool last = i + 1 == read.sizes.size();
      const py::object upper = last ? py::object(py::float_(HUGE_VAL)) : py::int_(std::size_t{1} << i);
      if (read.sizes[i] > 0) sizes[upper] = read.sizes[i];
    }
    for (const auto& [rows, time] : read.seconds) seconds[py::int_(rows)] = time;
    py::dict all;
    all["requests"] = read.requests;
    all["refused"] = read.refused;
    all["failed"] = read.failed;
    all["batches"] = read.batches;
    all["rows"] = read.rows;
    all["padded_rows"] = read.padded_rows;
    all["retries"] = read.retries;
    all["waiting"] = read.waiting;
    all["queue_seconds"] = read.queue_seconds;
    all["sizes"] = sizes;
    all["seconds"] = seconds;
    return std::move(all);
  });
}

// (name, version, model or None, [(signature, batcher)], watched or None) of each model.
std::string Prometheus(const py::list& models) {
  std::vector<ModelMetrics> read;
  for (const py::handle row : models) {
    const auto one = row.cast<py::tuple>();
    ModelMetrics metrics;
    metrics.model = one[0].cast<std::string>();
    metrics.version = one[1].cast<std::string>();
    if (!one[2].is_none()) {
      const Model& model = one[2].cast<const ModelHandle&>().model;
      metrics.weight_bytes = WithoutGil([&] { return model.weight_bytes(); });
      if (model.options().counters) metrics.signatures = WithoutGil([&] { return model.Counters(); });
    }
    for (const py::handle entry : one[3]) {
      const auto pair = entry.cast<py::tuple>();
      const Batcher batcher = BatcherOf(py::object(pair[1]).ptr())->batcher;
      metrics.batchers.emplace_back(pair[0].cast<std::string>(),
                                    WithoutGil([&] { return batcher.Statistics(); }));
    }
    if (!one[4].is_none()) {
      const Watched watched = one[4].cast<const WatchHandle&>().watched;
      metrics.watched = WithoutGil([&] { return watched.status(); });
    }
    read.push_back(std::move(metrics));
  }
  return PrometheusText(read);
}

PyObject* Close(PyObject* self, PyObject*) {
  return Guarded([&]() -> py::object {
    WithoutGil([&] { BatcherOf(self)->batcher.Close(); });
    return py::none();
  });
}

const PyMethodDef own_methods[] = {
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Run)), METH_FASTCALL | METH_KEYWORDS,
     "run($self, inputs=None, *, timeout=None)\n--\n\n"
     "Run with a dict of inputs by name, of one row or more.\n\n"
     "timeout: seconds, with the time in the queue (DeadlineExceededError). Raises as Signature.run does, "
     "and\nResourceExhaustedError if too many requests wait."},
    {"_statistics", &Statistics, METH_NOARGS, nullptr},
    {"close", &Close, METH_NOARGS,
     "close($self, /)\n--\n\nLet no more requests in, and wait for those that are in."},
    {"__reduce__", &Reduce, METH_NOARGS, nullptr}};

// And an empty one at the end.
PyMethodDef methods[std::size(own_methods) + std::size(batcher_async_methods) + 1];

PyGetSetDef properties[] = {
    {"signature",
     [](PyObject* self, void*) { return py::str(BatcherOf(self)->signature.info.name).release().ptr(); },
     nullptr, "The signature's name.", nullptr},
    {"inputs", [](PyObject* self, void*) { return BatcherOf(self)->signature.input_specs.inc_ref().ptr(); },
     nullptr, "TensorSpec by name, in the order of positional inputs.", nullptr},
    {"outputs", [](PyObject* self, void*) { return BatcherOf(self)->signature.output_specs.inc_ref().ptr(); },
     nullptr, "TensorSpec by name.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(BatcherObject, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("Requests that come together share runs.")},
                       {Py_tp_new, reinterpret_cast<void*>(&New)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
                       {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
                       {Py_tp_repr, reinterpret_cast<void*>(&Repr)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {Py_tp_members, members},
                       {0, nullptr}};

PyType_Spec spec = {"savedmodel._core.Batcher", sizeof(BatcherObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL, slots};

}  // namespace

void bind_batcher(py::module_& m) {
  std::copy(std::begin(batcher_async_methods), std::end(batcher_async_methods),
            std::copy(std::begin(own_methods), std::end(own_methods), methods));
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  m.attr("Batcher") = type;
  m.def("prometheus_text", &Prometheus);
}

}  // namespace savedmodel::python
