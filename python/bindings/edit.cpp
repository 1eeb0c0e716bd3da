// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/edit.h"

#include <pybind11/stl.h>

#include <utility>

#include "bindings.h"
#include "runtime.h"

namespace savedmodel::python {
namespace {

void Apply(Edit& edit, const EditOperation& operation) {
  WithoutGil([&] { edit.Apply(operation); });
}

std::unique_ptr<Edit> Open(const std::string& source) {
  return WithoutGil([&] { return std::make_unique<Edit>(source); });
}

std::vector<std::string> Save(Edit& edit, const std::string& target, bool overwrite,
                              const std::string& format) {
  EditOptions options;
  options.overwrite = overwrite;
  if (format == "pb") options.format = GraphFormat::kBinary;
  if (format == "pbtxt") options.format = GraphFormat::kText;
  return WithoutGil([&] { return edit.Save(target, options); });
}

}  // namespace

void bind_edit(py::module_& m) {
  py::class_<Edit>(m, "Edit", "A SavedModel in memory that is edited.")
      .def(py::init(&Open), py::arg("source"))
      .def("add_signature",
           [](Edit& edit, std::string name, TensorNames inputs, TensorNames outputs, std::string method) {
             Apply(edit,
                   AddSignature{std::move(name), std::move(inputs), std::move(outputs), std::move(method)});
           })
      .def(
          "add_function_signature",
          [](Edit& edit, std::string name, std::string function, std::size_t trace, std::string method) {
            Apply(edit, AddFunctionSignature{std::move(name), std::move(function), trace, std::move(method)});
          })
      .def("rename_signature",
           [](Edit& edit, std::string name, std::string to) {
             Apply(edit, RenameSignature{std::move(name), std::move(to)});
           })
      .def("remove_signature",
           [](Edit& edit, std::string name) { Apply(edit, RemoveSignature{std::move(name)}); })
      .def("add_outputs",
           [](Edit& edit, std::string signature, TensorNames outputs) {
             Apply(edit, AddOutputs{std::move(signature), std::move(outputs)});
           })
      .def("keep_outputs",
           [](Edit& edit, std::string signature, std::vector<std::string> keys) {
             Apply(edit, KeepOutputs{std::move(signature), std::move(keys)});
           })
      .def("set_method_name",
           [](Edit& edit, std::string signature, std::string name) {
             Apply(edit, SetMethodName{std::move(signature), std::move(name)});
           })
      .def("select_meta_graph",
           [](Edit& edit, TagSet tags) { Apply(edit, SelectMetaGraph{std::move(tags)}); })
      .def("copy_meta_graph",
           [](Edit& edit, TagSet tags, TagSet to) {
             Apply(edit, CopyMetaGraph{std::move(tags), std::move(to)});
           })
      .def("drop_meta_graph", [](Edit& edit, TagSet tags) { Apply(edit, DropMetaGraph{std::move(tags)}); })
      .def("set_tags",
           [](Edit& edit, TagSet tags, TagSet to) {
             Apply(edit, SetTags{std::move(tags), std::move(to)});
           })
      .def("clear_devices", [](Edit& edit) { Apply(edit, ClearDevices{}); })
      .def("drop_object_graph", [](Edit& edit) { Apply(edit, DropObjectGraph{}); })
      .def("prune", [](Edit& edit) { Apply(edit, Prune{}); })
      .def_property_readonly("signatures",
                             [](const Edit& edit) {
                               std::map<std::string, Signature> signatures;
                               WithoutGil([&] { signatures = edit.signatures(); });
                               return signatures;
                             })
      .def("save", &Save);
}

}  // namespace savedmodel::python
