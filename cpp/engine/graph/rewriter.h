// SPDX-License-Identifier: Apache-2.0
// A mutable view of a GraphDef for passes: producers, readers, constants, shapes. Feeds are Placeholder nodes
// and fetches are Identity nodes, so each fetched tensor has a reader.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor_shape.h"

namespace savedmodel::engine {

// A node's attribute: the name of the last node whose value it has taken over.
constexpr char kReplacesAttr[] = "_savedmodel_replaces";

class Rewriter {
 public:
  struct Reader {
    tensorflow::NodeDef* node;
    int input;  // index in node->input(); control inputs have one too
  };

  // With a pool, large constants are kept there.
  explicit Rewriter(tensorflow::GraphDef* graph, ConstantPool* pool = nullptr);
  ~Rewriter();
  Rewriter(const Rewriter&) = delete;
  Rewriter& operator=(const Rewriter&) = delete;

  // The nodes at the time of the call; pointers stay valid, removed nodes have an empty op.
  std::vector<tensorflow::NodeDef*> nodes() const;
  tensorflow::NodeDef* Find(const std::string& name) const;  // or null

  // The node behind a data input, null for a control input or one that there is not; with `op`, null too if
  // it is another op, or if not its output 0 is read.
  tensorflow::NodeDef* Input(const tensorflow::NodeDef& node, int input) const;
  tensorflow::NodeDef* Input(const tensorflow::NodeDef& node, int input, const char* op) const;
  // All readers of all outputs.
  const std::vector<Reader>& Readers(const tensorflow::NodeDef& node) const;
  // The one node that reads `node`, its output 0 and once, with no control edge to anybody; or null.
  tensorflow::NodeDef* OnlyReader(const tensorflow::NodeDef& node) const;

  // The value behind a data input (which need not come from a Const node), through Identity nodes. Null if it
  // is not constant. Valid until the next call.
  const tensorflow::Tensor* Constant(const tensorflow::NodeDef& node, int input);
  // The same of a node that is constant itself.
  const tensorflow::Tensor* Value(const tensorflow::NodeDef& constant);
  // Inferred when first asked for; unknown rank where inference fails. "node:1" or "node".
  tensorflow::PartialTensorShape Shape(const std::string& tensor);
  // True if the two have the same shape whatever is fed; sizes that are not known may be known to be equal.
  bool SameShape(const std::string& a, const std::string& b);
  tensorflow::DataType Type(const tensorflow::NodeDef& node, const char* attribute = "T") const;

  // A name of its own is made of `name`. Inputs are tensors ("node", "node:1", "^node").
  tensorflow::NodeDef* Add(const std::string& name, const std::string& op,
                           const std::vector<std::string>& inputs);
  tensorflow::NodeDef* AddConstant(const std::string& name, const tensorflow::Tensor& value);
  void SetInput(tensorflow::NodeDef* node, int input, const std::string& tensor);
  // Readers of `node`'s output 0, data and control, read `replacement` (a node's name) instead, which notes
  // in kReplacesAttr whose value it has.
  void Replace(const tensorflow::NodeDef& node, const tensorflow::NodeDef& replacement);
  // Turns `node` into another op, keeping its name and so its readers; attributes are cleared but for
  // kReplacesAttr, control inputs stay.
  void Become(tensorflow::NodeDef* node, const std::string& op, const std::vector<std::string>& inputs);
  // The same, with attributes: all of `as` but for its name.
  void Become(tensorflow::NodeDef* node, const tensorflow::NodeDef& as);
  // Nothing may read it any more.
  void Remove(tensorflow::NodeDef* node);
  // Removes what nobody reads but for Placeholders and nodes of these names, and then what only those read.
  void RemoveUnread(const std::unordered_set<std::string>& kept);
  // Compacts the graph. Pointers die.
  void Finish();

 private:
  void Connect(tensorflow::NodeDef* node);
  void Disconnect(tensorflow::NodeDef* node);
  // As inferred, sizes below -1 being symbols; null where inference fails.
  const tensorflow::TensorShapeProto* Inferred(const std::string& tensor);

  struct Shapes;
  tensorflow::GraphDef* graph_;
  ConstantPool* pool_;
  // Then a constant with control inputs belongs to a branch or a loop, and is none elsewhere.
  bool has_control_flow_ = false;
  std::unordered_map<std::string, tensorflow::NodeDef*> nodes_;
  std::unordered_map<const tensorflow::NodeDef*, std::vector<Reader>> readers_;
  std::unordered_map<const tensorflow::NodeDef*, tensorflow::Tensor> constants_;
  std::unique_ptr<Shapes> shapes_;
};

// True for the ops of lowered loops and branches, in which whether a node runs depends on its inputs.
bool IsControlFlow(const std::string& op);

}  // namespace savedmodel::engine
