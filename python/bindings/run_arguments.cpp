// SPDX-License-Identifier: Apache-2.0
#include "run_arguments.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace savedmodel::python {
namespace {

// Accepts any mapping.
PyObject* AsDict(PyObject* mapping, const std::string& what, py::object* converted) {
  if (PyObject_HasAttrString(mapping, "keys") == 0) {
    throw py::type_error(what + ", got " + Py_TYPE(mapping)->tp_name);
  }
  *converted = py::reinterpret_steal<py::object>(PyDict_New());
  if (PyDict_Update(converted->ptr(), mapping) != 0) throw py::error_already_set();
  return converted->ptr();
}

}  // namespace

RunArguments::RunArguments(const std::string& label, PyObject* const* args, Py_ssize_t count,
                           PyObject* names) {
  if (count > 1) throw py::type_error("run() takes one positional argument, a dict of inputs");
  if (count == 1) inputs = args[0];
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < named; ++i) Set(PyTuple_GET_ITEM(names, i), args[count + i]);
  for (PyObject** value : {&inputs, &outputs, &out, &timeout, &trace, &options}) {
    if (*value == Py_None) *value = nullptr;
  }
  if (inputs != nullptr && !PyDict_Check(inputs)) {
    inputs = AsDict(inputs, label + ": inputs must be a dict of values by input name", &converted_inputs_);
  }
  if (out != nullptr && !PyDict_Check(out)) {
    out = AsDict(out, label + ": out must be a dict of arrays by output name", &converted_out_);
  }
}

void RunArguments::Set(PyObject* name, PyObject* value) {
  static const std::vector<std::pair<PyObject*, PyObject* RunArguments::*>> members = {
      {PyUnicode_InternFromString("outputs"), &RunArguments::outputs},
      {PyUnicode_InternFromString("out"), &RunArguments::out},
      {PyUnicode_InternFromString("timeout"), &RunArguments::timeout},
      {PyUnicode_InternFromString("trace"), &RunArguments::trace},
      {PyUnicode_InternFromString("options"), &RunArguments::options},
      {PyUnicode_InternFromString("inputs"), &RunArguments::inputs}};
  const auto same = [name](const auto& entry) { return entry.first == name; };
  auto found = std::find_if(members.begin(), members.end(), same);  // names in source code are interned
  if (found == members.end()) {
    const auto equal = [name](const auto& entry) { return PyUnicode_Compare(entry.first, name) == 0; };
    found = std::find_if(members.begin(), members.end(), equal);
  }
  if (found != members.end()) {
    PyObject* RunArguments::*member = found->second;
    if (this->*member != nullptr)
      throw py::type_error("run() got multiple values for argument " +
                           std::string(py::repr(py::handle(name))));
    this->*member = value;
    return;
  }
  throw py::type_error("run() got an unexpected keyword argument " + std::string(py::repr(py::handle(name))) +
                       "; inputs go into one dict");
}

CallOptions RunArguments::ReadOptions(bool* wants_trace) const {
  CallOptions result;
  if (this->options != nullptr) {
    const py::handle given(this->options);
    if (!py::hasattr(given, "_proto_bytes")) {
      throw py::type_error(std::string("options must be a savedmodel.RunOptions, got ") +
                           Py_TYPE(given.ptr())->tp_name);
    }
    SetTimeout(given.attr("timeout").ptr(), &result);
    result.run.proto = given.attr("_proto_bytes")().cast<std::string>();
    result.given |= !result.run.proto.empty();
    *wants_trace |= given.attr("trace").cast<bool>();
  }
  SetTimeout(timeout, &result);
  if (this->trace != nullptr) {
    const int truth = PyObject_IsTrue(this->trace);
    if (truth < 0) throw py::error_already_set();
    *wants_trace = truth == 1;
  }
  return result;
}

}  // namespace savedmodel::python
