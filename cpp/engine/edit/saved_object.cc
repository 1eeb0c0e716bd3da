// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/saved_object.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "engine/base/names.h"
#include "engine/edit/signature_function.h"
#include "engine/graph/attributes.h"
#include "engine/objects/object_tensors.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr char kSignatures[] = "signatures";

void SetGenericVersion(const std::string& identifier, tf::SavedObject* object) {
  object->mutable_user_object()->set_identifier(identifier);
  object->mutable_user_object()->mutable_version()->set_producer(1);
  object->mutable_user_object()->mutable_version()->set_min_consumer(1);
}

// The object whose children are the signatures; created if there is none.
tf::SavedObject* SignatureMap(tf::SavedObjectGraph* objects) {
  for (const auto& child : objects->nodes(0).children()) {
    const bool there = child.node_id() >= 0 && child.node_id() < objects->nodes_size();
    if (child.local_name() == kSignatures && there) return objects->mutable_nodes(child.node_id());
  }
  auto* child = objects->mutable_nodes(0)->add_children();
  child->set_local_name(kSignatures);
  child->set_node_id(objects->nodes_size());
  tf::SavedObject* map = objects->add_nodes();
  SetGenericVersion("signature_map", map);
  return map;
}

bool HasObjects(const tf::MetaGraphDef& meta_graph) { return meta_graph.object_graph_def().nodes_size() > 0; }

tf::TypeSpecProto Type(tf::TypeSpecProto::TypeSpecClass kind, const std::string& name,
                       const tf::TensorInfo& info, int components) {
  tf::TypeSpecProto type;
  type.set_type_spec_class(kind);
  type.set_type_spec_class_name(name);
  type.set_num_flat_components(components);
  auto* state = type.mutable_type_state()->mutable_tuple_value();
  *state->add_values()->mutable_tensor_shape_value() = info.tensor_shape();
  state->add_values()->set_tensor_dtype_value(info.dtype());
  return type;
}

tf::StructuredValue Spec(const std::string& name, const tf::TensorInfo& info) {
  tf::StructuredValue value;
  if (info.has_coo_sparse()) {
    *value.mutable_type_spec_value() =
        Type(tf::TypeSpecProto::SPARSE_TENSOR_SPEC, "SparseTensorSpec", info, 3);
    return value;
  }
  if (info.has_composite_tensor()) {
    *value.mutable_type_spec_value() = info.composite_tensor().type_spec();
    return value;
  }
  value.mutable_tensor_spec_value()->set_name(name);
  value.mutable_tensor_spec_value()->set_dtype(info.dtype());
  *value.mutable_tensor_spec_value()->mutable_shape() = info.tensor_shape();
  return value;
}

// (), {key: spec}: a signature takes keyword arguments only.
tf::SavedConcreteFunction Concrete(const tf::SignatureDef& signature, const std::vector<int>& bound) {
  tf::SavedConcreteFunction concrete;
  for (const int node : bound) concrete.add_bound_inputs(node);
  auto* arguments = concrete.mutable_canonicalized_input_signature()->mutable_tuple_value();
  arguments->add_values()->mutable_tuple_value();
  auto* keywords = arguments->add_values()->mutable_dict_value();
  for (const auto& [key, info] : signature.inputs()) (*keywords->mutable_fields())[key] = Spec(key, info);
  auto* results = concrete.mutable_output_signature()->mutable_dict_value();
  for (const auto& [key, info] : signature.outputs()) (*results->mutable_fields())[key] = Spec(key, info);
  return concrete;
}

std::string FreshFunctionName(const std::string& signature, const tf::FunctionDefLibrary& library) {
  std::set<std::string> taken;
  for (const tf::FunctionDef& function : library.function()) taken.insert(function.signature().name());
  std::string name = "__inference_signature_wrapper_";
  for (const char c : signature) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  int number = 0;
  while (taken.count(name + "_" + std::to_string(number)) > 0) ++number;
  return name + "_" + std::to_string(number);
}

}  // namespace

tf::TypeSpecProto RaggedType(const tf::TensorInfo& info) {
  const auto& parts = info.composite_tensor().components();
  tf::TypeSpecProto type =
      Type(tf::TypeSpecProto::RAGGED_TENSOR_SPEC, "RaggedTensorSpec", info, parts.size());
  auto* state = type.mutable_type_state()->mutable_tuple_value();
  state->add_values()->set_int64_value(parts.size() - 1);
  state->add_values()->set_tensor_dtype_value(parts.Get(1).dtype());
  return type;
}

Captures ReadCaptures(const std::string& source, const tf::MetaGraphDef& meta_graph) {
  const tf::SavedObjectGraph& objects = meta_graph.object_graph_def();
  if (objects.nodes_size() == 0) return {};
  // A signature's call in the graph and its function in the object graph have the same captures.
  GraphWalk walk(meta_graph.graph_def());
  Captures captures = CapturedObjects(objects, meta_graph.graph_def(), &walk);
  std::set<int> known;
  for (const auto& [object, tensor] : ObjectTensors(source, meta_graph, meta_graph.graph_def())) {
    known.insert(object);
    if (!objects.nodes(object).has_asset()) captures.emplace(tensor, object);
  }
  // Others are identified by their names, if these are unique.
  std::map<std::string, std::vector<int>> by_name;
  for (int i = 0; i < objects.nodes_size(); ++i) {
    if (objects.nodes(i).has_variable()) by_name[objects.nodes(i).variable().name()].push_back(i);
  }
  for (const tf::NodeDef& node : meta_graph.graph_def().node()) {
    if (node.op() != "VarHandleOp") continue;
    const auto found = by_name.find(Attr(node, "shared_name").s());
    if (found != by_name.end() && found->second.size() == 1 && known.count(found->second[0]) == 0) {
      captures.emplace(node.name() + ":0", found->second[0]);
    }
  }
  return captures;
}

void PutSignature(const std::string& name, const Captures& captures, tf::MetaGraphDef* meta_graph) {
  if (!HasObjects(*meta_graph)) return;
  const tf::SignatureDef& signature = meta_graph->signature_def().at(name);
  tf::FunctionDefLibrary* library = meta_graph->mutable_graph_def()->mutable_library();
  const std::string function_name = FreshFunctionName(name, *library);
  SignatureFunction function;
  try {
    function = MakeSignatureFunction(function_name, signature, captures, meta_graph->graph_def());
  } catch (const Error& error) {
    throw Error(Code::kFailedPrecondition,
                "signature " + Quote(name) +
                    " can't be added to the object graph, where tf.saved_model.load finds signatures: " +
                    error.what() + "; drop the object graph first");
  }
  PutSignatureFunction(name, std::move(function.definition), function.bound, meta_graph);
}

void PutSignatureFunction(const std::string& name, tf::FunctionDef function, const std::vector<int>& bound,
                          tf::MetaGraphDef* meta_graph) {
  const tf::SignatureDef& signature = meta_graph->signature_def().at(name);
  tf::FunctionDefLibrary* library = meta_graph->mutable_graph_def()->mutable_library();
  const std::string function_name = FreshFunctionName(name, *library);
  function.mutable_signature()->set_name(function_name);
  *library->add_function() = std::move(function);
  tf::SavedObjectGraph* objects = meta_graph->mutable_object_graph_def();
  (*objects->mutable_concrete_functions())[function_name] = Concrete(signature, bound);
  RemoveSignatureObject(name, meta_graph);
  auto* child = SignatureMap(objects)->add_children();
  child->set_local_name(name);
  child->set_node_id(objects->nodes_size());
  auto* bare = objects->add_nodes()->mutable_bare_concrete_function();
  bare->set_concrete_function_name(function_name);
  for (const std::string& key : Keys(signature.inputs())) bare->add_argument_keywords(key);
  bare->set_allowed_positional_arguments(signature.inputs_size() == 1 ? 1 : 0);
}

void RenameSignatureObject(const std::string& name, const std::string& to, tf::MetaGraphDef* meta_graph) {
  if (!HasObjects(*meta_graph)) return;
  for (auto& child : *SignatureMap(meta_graph->mutable_object_graph_def())->mutable_children()) {
    if (child.local_name() == name) child.set_local_name(to);
  }
}

void RemoveSignatureObject(const std::string& name, tf::MetaGraphDef* meta_graph) {
  if (!HasObjects(*meta_graph)) return;
  auto* children = SignatureMap(meta_graph->mutable_object_graph_def())->mutable_children();
  for (int i = children->size() - 1; i >= 0; --i) {
    if (children->Get(i).local_name() == name) children->DeleteSubrange(i, 1);
  }
}

}  // namespace savedmodel::engine::edit
