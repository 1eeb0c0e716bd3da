// SPDX-License-Identifier: Apache-2.0
// Replaces one loop by one op.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "engine/graph/dataflow.h"
#include "engine/graph/rewriter.h"
#include "engine/optimize/recurrent/loop.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// Checks everything before it changes anything.
class Fusion {
 public:
  // Throws Mismatch if the loop is not a recurrent layer's, or its outputs are used in another way.
  Fusion(tensorflow::GraphDef* graph, const std::unordered_set<std::string>& keep, tensorflow::NodeDef* node,
         const tensorflow::FunctionDef& cond, const tensorflow::FunctionDef& body);

  // Returns the kind of network.
  std::string Apply();

 private:
  using Use = Rewriter::Reader;

  bool Kept(const tensorflow::NodeDef& node) const { return keep_.count(node.name()) != 0; }
  bool IsLstm() const { return loop_.step.cell == rnn::Cell::kLstm; }
  Value InputOfLoop(int i) { return flow_.Resolve(node_->input(i), &controls_); }
  static std::string Name(const Value& value) { return Reference(value.node->name(), value.index); }

  std::vector<Use> DirectUses(const tensorflow::NodeDef& node, int index) const;
  // The readers of an output, seen through nodes that pass it on and are not fetched.
  std::vector<Use> Uses(const tensorflow::NodeDef& node, int index) const;
  void ReadX();
  // The value before transposes and reversals: [time, batch, ...] while `time_major`.
  Value Unturned(Value value, bool* time_major, bool* reverse);
  void ReadMask();
  bool IsZeros(int input);
  void ReadStates();
  void ReadOutputs();
  void ReadResultUses();
  bool HasShapeWithoutSteps(const tensorflow::NodeDef& stack);

  tensorflow::NodeDef* AddNode(const std::string& name, const char* op,
                               const std::vector<std::string>& inputs = {});
  std::string NameOfWeight(const Value& value, bool* constant) const;
  std::string WeightInput(const Weight& weight, bool* constant);
  std::vector<std::string> BiasInputs(bool* constant);
  // Makes `node` an Identity of `source`, and lets its readers read `source`.
  void PassOn(tensorflow::NodeDef* node, const std::string& source);
  void Redirect(int index, const std::string& source, const tensorflow::NodeDef& node);
  void MoveResults();

  const std::unordered_set<std::string>& keep_;
  const Dataflow flow_;
  tensorflow::NodeDef* node_;
  const RecurrentLoop loop_;
  Rewriter graph_;

  std::vector<std::string> controls_;
  Value x_;
  bool time_major_ = true, reverse_ = false;
  Value mask_;
  bool mask_time_major_ = true;
  std::vector<std::string> states_;  // empty: zeros
  // Uses of the list of results.
  std::vector<tensorflow::NodeDef*> stacks_, transposes_, reverses_, lasts_;
  bool stack_is_read_ = false;
  std::string no_steps_ = "states";  // see rnn_op.h
  std::int64_t rows_without_steps_ = -1;
};

}  // namespace savedmodel::engine
