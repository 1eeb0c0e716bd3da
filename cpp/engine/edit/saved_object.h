// SPDX-License-Identifier: Apache-2.0
// Keeps the object graph of a TF2 model, from which tf.saved_model.load takes signatures, in step with the
// MetaGraph's signatures. Models without one (TensorFlow 1) need nothing of this.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/struct.pb.h"

namespace savedmodel::engine::edit {

// Tensors of the graph ("dense/kernel:0") that represent objects (variables, tables, captured constants),
// with the node of each in the object graph.
using Captures = std::map<std::string, int>;
// `source`: the SavedModel's directory.
Captures ReadCaptures(const std::string& source, const tensorflow::MetaGraphDef& meta_graph);

// Makes a function of the MetaGraph's signature and puts it into the object graph, in place of one of that
// name. Throws Error (kFailedPrecondition) if that can't be done.
void PutSignature(const std::string& name, const Captures& captures, tensorflow::MetaGraphDef* meta_graph);
// Makes an existing function the signature: its arguments are inputs by key, then `bound`. Chooses its name.
void PutSignatureFunction(const std::string& name, tensorflow::FunctionDef function,
                          const std::vector<int>& bound, tensorflow::MetaGraphDef* meta_graph);
// The type of a ragged value with listed components: its flat values, then its row splits.
tensorflow::TypeSpecProto RaggedType(const tensorflow::TensorInfo& info);
void RenameSignatureObject(const std::string& name, const std::string& to,
                           tensorflow::MetaGraphDef* meta_graph);
void RemoveSignatureObject(const std::string& name, tensorflow::MetaGraphDef* meta_graph);

}  // namespace savedmodel::engine::edit
