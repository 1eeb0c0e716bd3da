// SPDX-License-Identifier: Apache-2.0
// The object graph of a TF2 model, from which tf.saved_model.load takes signatures: it is kept in step with
// those of the MetaGraph. Models without one (TensorFlow 1) need nothing of this.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine::edit {

// Tensors of the graph ("dense/kernel:0") that are objects: variables, tables, captured constants; and the
// node of the object graph that each is.
using Captures = std::map<std::string, int>;
// `source`: the SavedModel's directory.
Captures ReadCaptures(const std::string& source, const tensorflow::MetaGraphDef& meta_graph);

// Makes a function of what the MetaGraph's signature computes, and puts it into the object graph, in place of
// one of that name. Throws Error (kFailedPrecondition) if that can't be done.
void PutSignature(const std::string& name, const Captures& captures, tensorflow::MetaGraphDef* meta_graph);
// Makes a function that there is the signature: arguments are inputs by key, then `bound`. Its name is
// chosen.
void PutSignatureFunction(const std::string& name, tensorflow::FunctionDef function,
                          const std::vector<int>& bound, tensorflow::MetaGraphDef* meta_graph);
// Of a ragged value whose components are there: its flat values, then its row splits.
tensorflow::TypeSpecProto RaggedType(const tensorflow::TensorInfo& info);
void RenameSignatureObject(const std::string& name, const std::string& to,
                           tensorflow::MetaGraphDef* meta_graph);
void RemoveSignatureObject(const std::string& name, tensorflow::MetaGraphDef* meta_graph);

}  // namespace savedmodel::engine::edit
