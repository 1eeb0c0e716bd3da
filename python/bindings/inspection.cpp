// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include "bindings.h"
#include "gil.h"
#include "runtime.h"
#include "savedmodel/inspect.h"

namespace savedmodel::python {

void bind_inspection(py::module_& m) {
  py::class_<AssetInfo>(m, "AssetInfo", "A file below assets/.")
      .def_readonly("filename", &AssetInfo::filename)
      .def_readonly("tensor_name", &AssetInfo::tensor_name, "The tensor that is fed with its path.")
      .def_property_readonly(
          "size_bytes",
          [](const AssetInfo& asset) {
            return asset.size_bytes < 0 ? py::object(py::none()) : py::object(py::int_(asset.size_bytes));
          },
          "None if the file is missing.")
      .def("__repr__", [](const AssetInfo& asset) { return "AssetInfo('" + asset.filename + "')"; });
  py::class_<OpUse>(m, "OpUse", "How often a graph and its functions use an op.")
      .def_readonly("count", &OpUse::count)
      .def_readonly("loader_count", &OpUse::loader_count,
                    "Of those, what only serves the loader: the saver's ops, tables made from assets.")
      .def_readonly("nodes", &OpUse::nodes, "The first of the others: 'node', or 'function/node'.");
  py::class_<ConcreteFunctionInfo>(m, "ConcreteFunctionInfo",
                                   "A traced function that is an attribute of the saved object.")
      .def_readonly("attribute", &ConcreteFunctionInfo::attribute)
      .def_readonly("name", &ConcreteFunctionInfo::name, "In the graph's function library.")
      .def_readonly("inputs", &ConcreteFunctionInfo::inputs)
      .def_readonly("outputs", &ConcreteFunctionInfo::outputs);
  py::class_<MetaGraphInfo>(m, "MetaGraphInfo", "One MetaGraph of a SavedModel.")
      .def_property_readonly("tags",
                             [](const MetaGraphInfo& info) { return py::frozenset(py::cast(info.tags)); })
      .def_readonly("signatures", &MetaGraphInfo::signatures, "Without the init-op signature.")
      .def_property_readonly(
          "ops", [](const MetaGraphInfo& info) { return py::frozenset(py::cast(info.ops)); },
          "Used by the graph and by its functions.")
      .def_readonly("op_uses", &MetaGraphInfo::op_uses, "By op.")
      .def_readonly("init_op", &MetaGraphInfo::init_op, "The node that a load runs; may be empty.")
      .def_readonly("concrete_functions", &MetaGraphInfo::concrete_functions, "Of TF2 models; sorted.")
      .def_readonly("variables", &MetaGraphInfo::variables, "By the graph's variable name.")
      .def_readonly("tensorflow_version", &MetaGraphInfo::tensorflow_version, "That wrote it.")
      .def_readonly("producer", &MetaGraphInfo::producer, "The GraphDef version of the writer.")
      .def_readonly("min_consumer", &MetaGraphInfo::min_consumer)
      .def_readonly("assets", &MetaGraphInfo::assets)
      .def("__repr__",
           [](const py::object& self) {
             return py::module_::import("savedmodel._repr").attr("meta_graph_text")(self);
           })
      .def_readonly("num_nodes", &MetaGraphInfo::num_nodes)
      .def_readonly("num_functions", &MetaGraphInfo::num_functions);
  py::class_<Fingerprint>(m, "Fingerprint", "fingerprint.pb (TensorFlow 2.12 and later write it).")
      .def_readonly("saved_model_checksum", &Fingerprint::saved_model_checksum)
      .def_readonly("graph_def_program_hash", &Fingerprint::graph_def_program_hash)
      .def_readonly("signature_def_hash", &Fingerprint::signature_def_hash)
      .def_readonly("saved_object_graph_hash", &Fingerprint::saved_object_graph_hash)
      .def_readonly("checkpoint_hash", &Fingerprint::checkpoint_hash)
      .def_readonly("uuid", &Fingerprint::uuid)
      .def("__repr__", [](const Fingerprint& fingerprint) {
        return "Fingerprint(uuid='" + fingerprint.uuid +
               "', saved_model_checksum=" + std::to_string(fingerprint.saved_model_checksum) + ")";
      });
  py::class_<Inspection>(m, "Inspection", "What a SavedModel holds.")
      .def_readonly("path", &Inspection::path)
      .def("__repr__",
           [](const py::object& self) {
             return py::module_::import("savedmodel._repr").attr("inspection_text")(self);
           })
      .def("_repr_html_",
           [](const py::object& self) {
             return py::module_::import("savedmodel._repr").attr("inspection_html")(self);
           })
      .def_readonly("meta_graphs", &Inspection::meta_graphs)
      .def_property_readonly("fingerprint",
                             [](const Inspection& inspection) {
                               return inspection.fingerprint ? py::cast(*inspection.fingerprint)
                                                             : py::object(py::none());
                             })
      .def_property_readonly(
          "variables",
          [](const Inspection& inspection) {
            std::map<std::string, TensorSpec> variables;
            for (const MetaGraphInfo& info : inspection.meta_graphs) {
              variables.insert(info.variables.begin(), info.variables.end());
            }
            return variables;
          },
          "Of all MetaGraphs, by the graph's variable name.")
      .def_readonly("files", &Inspection::files, "Relative path -> bytes.")
      .def_readonly("size_bytes", &Inspection::size_bytes, "Of all files.");
  m.def(
      "inspect",
      [](const std::string& path) {
        Inspection inspection;
        {
          const ReleaseGil release;
          inspection = Inspect(path);
        }
        AfterCall();
        return inspection;
      },
      py::arg("path"));
  m.def("registered_ops", [] {
    std::vector<std::string> ops;
    {
      const ReleaseGil release;
      ops = RegisteredOps();
    }
    AfterCall();
    return ops;
  });
}

}  // namespace savedmodel::python
