// SPDX-License-Identifier: Apache-2.0
// SignatureDef -> Signature.
#pragma once

#include <map>
#include <string>

#include "savedmodel/signature.h"
#include "tensorflow/core/framework/tensor_shape.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

class GraphIndex;

PartialShape ToPartialShape(const tensorflow::TensorShapeProto& shape);

// As they are written, without the init-op signature.
std::map<std::string, Signature> ReadSignatures(const tensorflow::MetaGraphDef& meta_graph);

// As the graph has it: where a type or shape contradicts the graph, the graph's is put in its place.
Signature Reconcile(Signature signature, const GraphIndex& graph);

// The node that a load runs after the restore; empty if there is none.
std::string InitOpOf(const tensorflow::MetaGraphDef& meta_graph);

}  // namespace savedmodel::engine
