// SPDX-License-Identifier: Apache-2.0
// TensorSpec and the other parts of a signature.
#include <pybind11/stl.h>

#include "bindings.h"
#include "numpy.h"
#include "savedmodel/signature.h"

namespace savedmodel::python {
namespace {

py::object ShapeTuple(const PartialShape& shape) {
  if (!shape) return py::none();
  py::tuple dims(shape->size());
  for (std::size_t i = 0; i < shape->size(); ++i) {
    dims[i] = (*shape)[i] < 0 ? py::object(py::none()) : py::object(py::int_((*shape)[i]));
  }
  return dims;
}

const char* EncodingName(const TensorSpec& spec) {
  switch (spec.encoding) {
    case Encoding::kSparse:
      return "sparse";
    case Encoding::kRagged:
      return "ragged";
    case Encoding::kComposite:
      return "composite";
    case Encoding::kDense:
      break;
  }
  return "dense";
}

}  // namespace

void bind_spec(py::module_& m) {
  py::class_<TensorSpec>(m, "TensorSpec", "One input, output or variable: name, dtype and shape.")
      .def_readonly("name", &TensorSpec::name, "The graph's tensor name; empty for a composite.")
      .def_property_readonly(
          "dtype", [](const TensorSpec& spec) { return NumpyDType(spec.dtype); },
          "The numpy.dtype: object for strings, the storage type for quantised ones.")
      .def_property_readonly(
          "tf_dtype", [](const TensorSpec& spec) { return DTypeName(spec.dtype); },
          "TensorFlow's name of the type, such as 'string' or 'qint8'.")
      .def_property_readonly(
          "shape", [](const TensorSpec& spec) { return ShapeTuple(spec.shape); },
          "Sizes, None where unknown; None for an unknown rank.")
      .def_property_readonly("encoding", &EncodingName, "'dense', 'sparse', 'ragged' or 'composite'.")
      .def_readonly("components", &TensorSpec::components, "The parts of a composite.")
      .def_property_readonly(
          "default",
          [](const TensorSpec& spec) {
            return spec.default_value.dtype() == DType::kInvalid ? py::object(py::none())
                                                                 : ToNumpy(spec.default_value);
          },
          "The value of an input that is left out, or None.")
      .def("__repr__",
           [](const TensorSpec& spec) {
             const std::string name =
                 spec.encoding == Encoding::kDense ? "'" + spec.name + "'" : EncodingName(spec);
             return "TensorSpec(" + name + ", " + spec.ToString() + ")";
           })
      .def("__str__", [](const TensorSpec& spec) {
        const std::string kind =
            spec.encoding == Encoding::kDense ? "" : std::string(EncodingName(spec)) + " ";
        return kind + spec.ToString();
      });
  py::class_<Signature>(m, "SignatureInfo", "A signature as it is written in the SavedModel.")
      .def_readonly("name", &Signature::name)
      .def("__repr__",
           [](const py::object& self) {
             return py::module_::import("savedmodel._repr").attr("signature_text")(self);
           })
      .def_readonly("method_name", &Signature::method_name)
      .def_property_readonly("inputs",
                             [](const Signature& signature) {
                               py::dict specs;
                               for (const TensorSpec& spec : signature.inputs)
                                 specs[py::str(spec.key)] = spec;
                               return specs;
                             })
      .def_property_readonly("outputs", [](const Signature& signature) {
        py::dict specs;
        for (const TensorSpec& spec : signature.outputs) specs[py::str(spec.key)] = spec;
        return specs;
      });
}

}  // namespace savedmodel::python
