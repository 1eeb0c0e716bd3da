// SPDX-License-Identifier: Apache-2.0
// savedmodel.Signature: a plain CPython type with vectorcall, because a pybind11 dispatch costs as much as a
// small model's run.
#include "signature.h"

#include <pybind11/stl.h>
#include <structmember.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "bindings.h"
#include "gil.h"
#include "model.h"
#include "numpy.h"
#include "run_arguments.h"
#include "runtime.h"

namespace savedmodel::python {

Bound& BindOutputs(State& state, const std::vector<std::string>& keys) {
  if (keys.empty() && state.all != nullptr) return *state.all;
  const auto known = state.bound.find(keys);
  if (known != state.bound.end()) return *known->second;
  auto bound = std::make_unique<Bound>();
  {
    const ReleaseGil release;
    bound->function = state.trace ? state.model.saved_function(state.info.name, *state.trace)
                                  : state.model.function(state.info.name, keys);
  }
  if (keys.empty() || state.trace) bound->specs = state.info.outputs;
  for (const std::string& key : keys) {
    const auto spec = std::find_if(state.info.outputs.begin(), state.info.outputs.end(),
                                   [&](const TensorSpec& each) { return each.key == key; });
    if (spec == state.info.outputs.end()) throw py::key_error(state.label + " has no output '" + key + "'");
    if (!state.trace) bound->specs.push_back(*spec);
  }
  bound->slots = MakeSlots(bound->specs);
  if (state.trace && !keys.empty()) {  // a trace computes all of them
    std::vector<Slot> wanted;
    for (const std::string& key : keys) {
      wanted.push_back(*std::find_if(bound->slots.begin(), bound->slots.end(),
                                     [&](const Slot& slot) { return slot.spec->key == key; }));
    }
    bound->slots = std::move(wanted);
  }
  // Another thread may have added it while the GIL was released.
  Bound& result = *state.bound.emplace(keys, std::move(bound)).first->second;
  if (keys.empty()) state.all = &result;
  return result;
}

py::object Results(const State& state, const Bound& bound, Tensor* outputs, const Outs& outs) {
  auto results = py::reinterpret_steal<py::object>(PyDict_New());
  if (!results) throw py::error_already_set();
  for (std::size_t i = 0; i < bound.slots.size(); ++i) {
    const Slot& slot = bound.slots[i];
    PyObject* buffer = outs[i];
    if (buffer != nullptr) {
      CopyOut(outputs[slot.first], buffer, *slot.spec, state.label);
      if (PyDict_SetItem(results.ptr(), slot.key, buffer) != 0) throw py::error_already_set();
      continue;
    }
    const py::object value = ConvertOutput(slot, outputs);
    if (PyDict_SetItem(results.ptr(), slot.key, value.ptr()) != 0) throw py::error_already_set();
  }
  return results;
}

std::vector<std::string> OutputKeys(const State& state, PyObject* outputs) {
  if (outputs == nullptr || outputs == Py_None) return {};
  if (PyUnicode_Check(outputs)) return {py::cast<std::string>(py::handle(outputs))};
  std::vector<std::string> keys;
  for (const py::handle item : py::reinterpret_borrow<py::iterable>(outputs)) {
    if (!py::isinstance<py::str>(item)) {
      throw py::type_error(state.label + ": outputs must be names, got " + std::string(py::repr(item)));
    }
    auto key = py::cast<std::string>(item);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  if (keys.empty())
    throw py::value_error(state.label + ": outputs is empty; leave it out to get all outputs");
  return keys;
}

namespace {

py::object Execute(const State& state, const Bound& bound, const Given& given, const RunOptions* options,
                   Trace* trace, const Outs& outs) {
  InlineArray<Tensor, 4> inputs(bound.function.inputs().size());
  InlineArray<Tensor, 4> outputs(bound.function.outputs().size());
  ConvertInputs(state.inputs, given.data(), bound.function, state.label, inputs.data());
  {
    const ReleaseGil release;
    bound.function.Run(inputs, outputs, options, trace);
  }
  py::object results = Results(state, bound, outputs.data(), outs);
  AfterCall();
  return results;
}

PyObject* VectorCall(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* names) {
  return Guarded([&] {
    State& state = StateOf(self);
    Given given(state.label, state.inputs);
    given.Call(args, static_cast<std::size_t>(PyVectorcall_NARGS(nargsf)), names);
    return Execute(state, BindOutputs(state, {}), given, nullptr, nullptr, Outs(0));
  });
}

PyObject* Run(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    State& state = StateOf(self);
    const RunArguments arguments(state.label, args, count, names);
    Bound& bound = BindOutputs(state, OutputKeys(state, arguments.outputs));
    Outs outs(arguments.out == nullptr ? 0 : bound.slots.size());
    if (arguments.out != nullptr) outs.Check(state.label, bound.slots, arguments.out);
    Given given(state.label, state.inputs);
    if (arguments.inputs != nullptr) given.Dict(arguments.inputs);
    bool wants_trace = state.model.options().run.trace;
    const CallOptions options = arguments.ReadOptions(&wants_trace);
    const RunOptions* run_options = options.given ? &options.run : nullptr;
    if (!wants_trace) return Execute(state, bound, given, run_options, nullptr, outs);
    py::object trace = py::module_::import("savedmodel._trace").attr("Trace")();
    py::object results = Execute(state, bound, given, run_options, &trace.cast<Trace&>(), outs);
    return py::make_tuple(std::move(results), std::move(trace));
  });
}

PyObject* Explain(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    State& state = StateOf(self);
    Given given(state.label, state.inputs);
    given.Call(args, static_cast<std::size_t>(count), names);
    const Bound& bound = BindOutputs(state, {});
    std::vector<Tensor> inputs(bound.function.inputs().size());
    std::vector<std::string> why;
    ConvertInputs(state.inputs, given.data(), bound.function, state.label, inputs.data(), &why);
    py::dict result;
    for (std::size_t i = 0; i < state.inputs.size(); ++i) {
      if (given.data()[i] == nullptr) why[i] = "it is the signature's default";
      if (why[i].empty()) why[i] = bound.function.copies_inputs_because();
      result[py::handle(state.inputs[i].key)] = why[i].empty() ? "borrowed" : "copied: " + why[i];
    }
    return std::move(result);
  });
}

PyObject* New(PyTypeObject* type, PyObject* args, PyObject*) {
  return Guarded([&]() -> py::object {
    const auto arguments = py::reinterpret_borrow<py::tuple>(args);
    const bool saved = arguments.size() == 3;
    if ((arguments.size() != 2 && !saved) || !py::isinstance<ModelHandle>(arguments[0])) {
      throw py::type_error("a Signature can't be created directly; load a model");
    }
    auto object = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!object) throw py::error_already_set();
    auto* self = reinterpret_cast<Object*>(object.ptr());
    self->vectorcall = &VectorCall;
    auto state = std::make_unique<State>();
    state->model = arguments[0].cast<const ModelHandle&>().model;
    const auto name = arguments[1].cast<std::string>();
    if (saved) {
      state->trace = arguments[2].cast<std::size_t>();
      const ConcreteFunction& traced = state->model.functions().at(name).traces.at(*state->trace);
      state->info = {name, traced.name, traced.inputs, traced.outputs};
    } else {
      state->info = state->model.signatures().at(name);
    }
    state->label = (saved ? "function '" : "signature '") + name + "'";
    state->inputs = MakeSlots(state->info.inputs);
    const auto specs = [](const std::vector<TensorSpec>& list) {
      py::dict dict;
      for (const TensorSpec& spec : list) dict[py::str(spec.key)] = spec;
      return py::reinterpret_steal<py::object>(PyDictProxy_New(dict.ptr()));
    };
    state->input_specs = specs(state->info.inputs);
    state->output_specs = specs(state->info.outputs);
    self->state = state.release();
    return object;
  });
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  State* state = reinterpret_cast<Object*>(self)->state;
  if (state != nullptr) {
    state->input_specs = py::object();
    state->output_specs = py::object();
    const ReleaseGil release;  // this may be the last reference to the session
    delete state;
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* Repr(PyObject* self) {
  return Guarded(
      [&] { return py::module_::import("savedmodel._repr").attr("signature_text")(py::handle(self)); });
}

PyObject* ReprHtml(PyObject* self, PyObject*) {
  return Guarded(
      [&] { return py::module_::import("savedmodel._repr").attr("signature_html")(py::handle(self)); });
}

PyObject* Reduce(PyObject* self, PyObject*) {
  return Guarded([&]() -> py::object {
    throw py::type_error(StateOf(self).label + " can't be pickled; pickle its model");
  });
}

const PyMethodDef own_methods[] = {
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Run)), METH_FASTCALL | METH_KEYWORDS,
     "run($self, inputs=None, *, outputs=None, out=None, timeout=None, trace=None, options=None)\n--\n\n"
     "Run with a dict of inputs by name.\n\n"
     "outputs: names of the results wanted (default: all). out: dict of writeable arrays that results are\n"
     "copied into. timeout: seconds (DeadlineExceededError). trace: also return a Trace, as (results, "
     "trace).\n"
     "Raises TypeError, ValueError or KeyError for a caller's mistake, Error for TensorFlow's."},
    {"explain", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Explain)),
     METH_FASTCALL | METH_KEYWORDS,
     "explain($self, /, *args, **kwargs)\n--\n\nSay for each input of such a call: 'borrowed', or 'copied: ' "
     "and why."},
    {"_repr_html_", &ReprHtml, METH_NOARGS, nullptr},
    {"__reduce__", &Reduce, METH_NOARGS, nullptr}};

// And an empty one at the end.
PyMethodDef methods[std::size(own_methods) + std::size(async_methods) + 1];

PyObject* Text(const std::string& text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace");
}

PyGetSetDef properties[] = {
    {"name", [](PyObject* self, void*) { return Text(StateOf(self).info.name); }, nullptr,
     "The signature's name.", nullptr},
    {"method_name", [](PyObject* self, void*) { return Text(StateOf(self).info.method_name); }, nullptr,
     "Such as 'tensorflow/serving/predict'.", nullptr},
    {"inputs", [](PyObject* self, void*) { return StateOf(self).input_specs.inc_ref().ptr(); }, nullptr,
     "TensorSpec by name, in the order of positional inputs.", nullptr},
    {"outputs", [](PyObject* self, void*) { return StateOf(self).output_specs.inc_ref().ptr(); }, nullptr,
     "TensorSpec by name.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Object, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc,
     const_cast<char*>("A signature of a loaded model. Call it with arrays, by position (in the order "
                       "of `inputs`), by name or as one dict; it returns a dict of arrays.")},
    {Py_tp_new, reinterpret_cast<void*>(&New)},
    {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
    {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
    {Py_tp_repr, reinterpret_cast<void*>(&Repr)},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, nullptr}};

PyType_Spec spec = {"savedmodel.Signature", sizeof(Object), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};

}  // namespace

void bind_signature(py::module_& m) {
  std::copy(std::begin(async_methods), std::end(async_methods),
            std::copy(std::begin(own_methods), std::end(own_methods), methods));
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  m.attr("Signature") = type;
}

}  // namespace savedmodel::python
