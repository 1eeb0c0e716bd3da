// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/signatures.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/base/tensors.h"
#include "engine/graph/graph.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

TensorSpec ReadSpec(const std::string& key, const tf::TensorInfo& info) {
  TensorSpec spec;
  spec.key = key;
  spec.dtype = static_cast<DType>(tf::BaseType(info.dtype()));
  if (info.has_tensor_shape()) spec.shape = ToPartialShape(info.tensor_shape());
  auto component = [&](const std::string& suffix, const std::string& name, DType dtype, PartialShape shape) {
    TensorSpec part;
    part.key = key + "#" + suffix;
    part.name = name;
    part.dtype = dtype;
    part.shape = std::move(shape);
    spec.components.push_back(std::move(part));
  };
  switch (info.encoding_case()) {
    case tf::TensorInfo::kCooSparse: {
      spec.encoding = Encoding::kSparse;
      const std::int64_t rank = spec.shape ? static_cast<std::int64_t>(spec.shape->size()) : -1;
      component("indices", info.coo_sparse().indices_tensor_name(), DType::kInt64, {{-1, rank}});
      component("values", info.coo_sparse().values_tensor_name(), spec.dtype, {{-1}});
      component("dense_shape", info.coo_sparse().dense_shape_tensor_name(), DType::kInt64, {{rank}});
      break;
    }
    case tf::TensorInfo::kCompositeTensor: {
      const tf::TypeSpecProto& type = info.composite_tensor().type_spec();
      const auto& parts = info.composite_tensor().components();
      spec.encoding = Encoding::kComposite;
      if (type.type_spec_class() == tf::TypeSpecProto::RAGGED_TENSOR_SPEC) spec.encoding = Encoding::kRagged;
      if (type.type_spec_class() == tf::TypeSpecProto::SPARSE_TENSOR_SPEC && parts.size() == 3) {
        spec.encoding = Encoding::kSparse;
      }
      static constexpr const char* kSparseParts[] = {"indices", "values", "dense_shape"};
      for (int i = 0; i < parts.size(); ++i) {
        const std::string suffix = spec.encoding == Encoding::kSparse ? kSparseParts[i] : std::to_string(i);
        TensorSpec part = ReadSpec(key + "#" + suffix, parts[i]);
        spec.components.push_back(std::move(part));
      }
      if (spec.encoding == Encoding::kRagged && parts.size() > 0) spec.dtype = spec.components[0].dtype;
      if (spec.encoding == Encoding::kSparse) spec.dtype = spec.components[1].dtype;
      // The spec's own shape stands in its type; TensorInfo's is left empty.
      spec.shape = std::nullopt;
      for (const auto& value : type.type_state().tuple_value().values()) {
        if (value.has_tensor_shape_value()) spec.shape = ToPartialShape(value.tensor_shape_value());
      }
      break;
    }
    default:
      spec.name = info.name();
  }
  return spec;
}

// Where the two can't both be true, the graph's.
PartialShape Merge(const PartialShape& written, const PartialShape& graph) {
  if (!graph) return written;
  if (!written || written->size() != graph->size()) return graph;
  PartialShape merged = graph;
  for (std::size_t i = 0; i < graph->size(); ++i) {
    if ((*graph)[i] < 0) (*merged)[i] = (*written)[i];
  }
  return merged;
}

void ReconcileSpec(TensorSpec& spec, const GraphIndex& graph) {
  for (TensorSpec& part : spec.components) ReconcileSpec(part, graph);
  if (spec.encoding != Encoding::kDense) return;
  try {
    const TensorRef name = TensorRef::Parse(spec.name);
    const DType dtype = graph.TypeOf(name, spec.key);
    if (dtype != DType::kInvalid) spec.dtype = dtype;
    spec.shape = Merge(spec.shape, graph.PlaceholderShape(name));
  } catch (const Error&) {
    // A name that the graph does not have is said when the signature is bound.
  }
}

}  // namespace

PartialShape ToPartialShape(const tf::TensorShapeProto& shape) {
  if (shape.unknown_rank()) return std::nullopt;
  std::vector<std::int64_t> dims;
  for (const auto& dim : shape.dim()) dims.push_back(dim.size() < 0 ? -1 : dim.size());
  return dims;
}

std::map<std::string, Signature> ReadSignatures(const tf::MetaGraphDef& meta_graph) {
  std::map<std::string, Signature> signatures;
  for (const auto& [name, definition] : meta_graph.signature_def()) {
    if (name == tf::kSavedModelInitOpSignatureKey || name == tf::kSavedModelTrainOpSignatureKey) continue;
    Signature& signature = signatures[name];
    signature.name = name;
    signature.method_name = definition.method_name();
    const std::map<std::string, tf::TensorInfo> inputs(definition.inputs().begin(),
                                                       definition.inputs().end());
    const std::map<std::string, tf::TensorInfo> outputs(definition.outputs().begin(),
                                                        definition.outputs().end());
    for (const auto& [key, info] : inputs) {
      signature.inputs.push_back(ReadSpec(key, info));
      const auto value = definition.defaults().find(key);
      tf::Tensor tensor;
      if (value != definition.defaults().end() && tensor.FromProto(value->second)) {
        signature.inputs.back().default_value = FromTensorFlow(std::move(tensor));
      }
    }
    for (const auto& [key, info] : outputs) signature.outputs.push_back(ReadSpec(key, info));
  }
  return signatures;
}

Signature Reconcile(Signature signature, const GraphIndex& graph) {
  for (TensorSpec& spec : signature.inputs) ReconcileSpec(spec, graph);
  for (TensorSpec& spec : signature.outputs) ReconcileSpec(spec, graph);
  return signature;
}

std::string InitOpOf(const tf::MetaGraphDef& meta_graph) {
  std::string name;
  return tf::internal::GetInitOp("", meta_graph, &name).ok() ? name : "";
}

}  // namespace savedmodel::engine
