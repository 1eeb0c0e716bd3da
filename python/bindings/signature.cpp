// SPDX-License-Identifier: Apache-2.0
// savedmodel.Signature: a plain CPython type with vectorcall, because a pybind11 dispatch costs as much as a
// small model's run.
#include "savedmodel/signature.h"

#include <pybind11/stl.h>
#include <structmember.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "async.h"
#include "bindings.h"
#include "errors.h"
#include "gil.h"
#include "model.h"
#include "numpy.h"
#include "out.h"
#include "run_arguments.h"
#include "runtime.h"

namespace savedmodel::python {
namespace {

using Clock = std::chrono::steady_clock;

// An event loop waits for a shorter run, because a thread of the pool would tell it of the end no sooner.
constexpr std::chrono::microseconds kQuick{200}, kFarTooSlow{5000};
constexpr int kMinPenalty = 64, kMaxPenalty = 1 << 16;
constexpr int kSlowRuns = 3;  // one alone may have lost its core

// A function for one set of outputs, ready to run.
struct Bound {
  std::vector<TensorSpec> specs;
  std::vector<Slot> slots;
  Function function;
  std::atomic<std::size_t> quick_bytes{0};  // runs with inputs of at most so many bytes are quick

  std::atomic<int> slow_runs{0};             // of these, one after the other
  std::atomic<int> penalty{0}, distrust{0};  // quick runs that do not count

  void Learn(std::size_t bytes, Clock::duration time) {
    if (time < kQuick) {
      slow_runs = 0;
      if (bytes <= quick_bytes) return;
      if (distrust > 0) {
        --distrust;
      } else {
        quick_bytes = bytes;
      }
    } else if (bytes <= quick_bytes) {
      const bool far_too_slow = time > kFarTooSlow;  // its time depends on values, not on sizes
      if (far_too_slow) distrust = penalty = std::min(4 * penalty + kMinPenalty, kMaxPenalty);
      if (!far_too_slow && ++slow_runs < kSlowRuns) return;
      slow_runs = 0;
      quick_bytes = bytes / 2;
    }
  }
};

struct State {
  Model model;
  savedmodel::Signature info;
  std::optional<std::size_t> trace;  // the trace of the saved function in `info`; else `info` is a signature
  std::string label;
  std::vector<Slot> inputs;
  py::object input_specs;  // mappingproxy
  py::object output_specs;
  // By output keys; {} means all. Bound on first use, so a broken signature does not affect others.
  std::map<std::vector<std::string>, std::unique_ptr<Bound>> bound;
  Bound* all = nullptr;
};

struct Object {
  PyObject_HEAD vectorcallfunc vectorcall;
  State* state;
};

State& StateOf(PyObject* self) { return *reinterpret_cast<Object*>(self)->state; }

template <typename Body>
PyObject* Guarded(const Body& body) {
  try {
    return body().release().ptr();
  } catch (...) {
    SetPythonError(std::current_exception());
    return nullptr;
  }
}

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

// The arguments of a run that nobody waits for.
struct Unwaited {
  Unwaited(PyObject* self, const char* method, PyObject* const* args, Py_ssize_t count, PyObject* names)
      : object(self),
        state(StateOf(self)),
        arguments(state.label, args, count, names),
        given(state.label, state.inputs) {
    if (arguments.out != nullptr || arguments.trace != nullptr) {
      throw py::type_error(std::string(method) + "() takes no argument '" +
                           (arguments.out != nullptr ? "out" : "trace") + "'");
    }
    bound = &BindOutputs(state, OutputKeys(state, arguments.outputs));
    if (arguments.inputs != nullptr) given.Dict(arguments.inputs);
    bool wants_trace = false;
    options = arguments.ReadOptions(&wants_trace);
  }

  // Starts the run. `done(error, results)` is called in a thread of the pool.
  py::object Start(py::object done) {
    std::vector<Tensor> inputs(bound->function.inputs().size());
    ConvertInputs(state.inputs, given.data(), bound->function, state.label, inputs.data(), nullptr, false);
    const auto make = [kept = Keep(object), &state = state, bound = bound, bytes = Bytes(inputs),
                       begin = Clock::now()](std::vector<Tensor> results) {
      bound->Learn(bytes, Clock::now() - begin);
      return Results(state, *bound, results.data(), Outs(0));
    };
    return StartRun(bound->function, std::move(inputs), std::move(options.run), make, std::move(done));
  }

  // Runs here and now if that is quick; else returns null.
  py::object RunIfQuick() {
    if (bound->quick_bytes == 0) return {};
    InlineArray<Tensor, 4> inputs(bound->function.inputs().size());
    ConvertInputs(state.inputs, given.data(), bound->function, state.label, inputs.data());
    const std::size_t bytes = Bytes(inputs);
    if (bytes > bound->quick_bytes) return {};
    InlineArray<Tensor, 4> outputs(bound->function.outputs().size());
    py::object results;
    std::exception_ptr error;
    const Clock::time_point begin = Clock::now();
    try {
      {
        const ReleaseGil release;
        bound->function.Run(inputs, outputs, options.given ? &options.run : nullptr);
      }
      results = Results(state, *bound, outputs.data(), Outs(0));
      AfterCall();
    } catch (...) {
      error = std::current_exception();
    }
    const Clock::time_point end = Clock::now();
    bound->Learn(bytes, end - begin);
    return Ready(std::move(results), std::move(error), end);
  }

  // At least 1, so that 0 stands for runs that are not known.
  template <typename Tensors>
  static std::size_t Bytes(const Tensors& tensors) {
    std::size_t bytes = 1;
    for (std::size_t i = 0; i < tensors.size(); ++i) bytes += tensors[i].byte_size();
    return bytes;
  }

  PyObject* object;
  State& state;
  const RunArguments arguments;
  Given given;
  Bound* bound = nullptr;
  CallOptions options;
};

// A future that `function` of savedmodel._async makes of a run.
py::object Future(Unwaited* run, const char* function) {
  const auto start = py::cpp_function([run](py::object done) { return run->Start(std::move(done)); });
  return py::module_::import("savedmodel._async").attr(function)(start);
}

PyObject* Begin(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    Unwaited run(self, "run_async", args, count, names);
    py::object ready = run.RunIfQuick();
    return ready ? ready : Future(&run, "awaited");
  });
}

PyObject* RunAsync(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    static PyObject* const coroutine =
        py::object(py::module_::import("savedmodel._async").attr("run_async")).release().ptr();
    std::vector<PyObject*> all{self};
    all.insert(all.end(), args, args + count + (names == nullptr ? 0 : PyTuple_GET_SIZE(names)));
    auto made = py::reinterpret_steal<py::object>(
        PyObject_Vectorcall(coroutine, all.data(), static_cast<std::size_t>(count) + 1, names));
    if (!made) throw py::error_already_set();
    return made;
  });
}

PyObject* Submit(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    Unwaited run(self, "submit", args, count, names);
    return Future(&run, "submitted");
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

PyMethodDef methods[] = {
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Run)), METH_FASTCALL | METH_KEYWORDS,
     "run($self, inputs=None, *, outputs=None, out=None, timeout=None, trace=None, options=None)\n--\n\n"
     "Run with a dict of inputs by name.\n\n"
     "outputs: names of the results wanted (default: all). out: dict of writeable arrays that results are\n"
     "copied into. timeout: seconds (DeadlineExceededError). trace: also return a Trace, as (results, "
     "trace).\n"
     "Raises TypeError, ValueError or KeyError for a caller's mistake, Error for TensorFlow's."},
    {"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Submit)),
     METH_FASTCALL | METH_KEYWORDS,
     "submit($self, inputs=None, *, outputs=None, timeout=None, options=None)\n--\n\n"
     "Start a run and return a concurrent.futures.Future of its results.\n\n"
     "It runs in a thread of the model's pool. timeout: seconds from now, with the time in the queue. The\n"
     "future's cancel() stops the run. Don't change arrays that are borrowed before the run has ended.\n"
     "Raises as run does for arguments that can't be converted; the future has the other errors."},
    {"run_async", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&RunAsync)),
     METH_FASTCALL | METH_KEYWORDS,
     "run_async($self, inputs=None, *, outputs=None, timeout=None, options=None)\n--\n\n"
     "A coroutine of a run's results, for asyncio's event loops. The run begins when it is awaited.\n\n"
     "As submit. Runs that were seen to take less than 200 us run at once, in this thread. Cancelling the "
     "task\n"
     "that awaits it stops the run."},
    {"_begin", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Begin)),
     METH_FASTCALL | METH_KEYWORDS,
     "_begin($self, inputs=None, *, outputs=None, timeout=None, options=None)\n--\n\n"
     "Of run_async: begins the run, and returns what waits for it."},
    {"explain", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Explain)),
     METH_FASTCALL | METH_KEYWORDS,
     "explain($self, /, *args, **kwargs)\n--\n\nSay for each input of such a call: 'borrowed', or 'copied: ' "
     "and why."},
    {"_repr_html_", &ReprHtml, METH_NOARGS, nullptr},
    {"__reduce__", &Reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

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
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  m.attr("Signature") = type;
}

}  // namespace savedmodel::python
