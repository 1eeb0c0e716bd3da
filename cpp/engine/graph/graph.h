// SPDX-License-Identifier: Apache-2.0
// An index of a graph that outlives its GraphDef: output types, placeholder shapes, variables, and which
// nodes could keep a tensor that a run was fed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph/graph_view.h"
#include "savedmodel/signature.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine {

class GraphIndex {
 public:
  explicit GraphIndex(const tensorflow::GraphDef& graph);

  // Type of a tensor without its reference bit; kInvalid if it can't be told. Throws Error (kNotFound)
  // if there is no such tensor; `what` begins the message.
  DType TypeOf(const TensorRef& tensor, const std::string& what) const;
  bool Has(const std::string& node) const { return index_.count(node) > 0; }
  // True if `tensor` is a placeholder whose shape is known at least in rank.
  PartialShape PlaceholderShape(const TensorRef& tensor) const;

  // The op that could keep an input of a run of `fetches` after it (a variable's assignment, a queue), or
  // write into it; or empty.
  std::string InputKeeper(const std::vector<TensorRef>& fetches) const;

  // Ops that a run of `fetches` needs and that can't run here (engine/op_libraries.h).
  std::set<std::string> MissingOps(const std::vector<TensorRef>& fetches) const;

  // Variables that exist as v1 reference variables are updated in place, under a reader's eyes.
  bool has_reference_variables() const { return has_reference_variables_; }
  // True if a node waits for what another node of the same run does (a staging area): such a graph can't run
  // in one thread.
  bool has_blocking_ops() const { return has_blocking_ops_; }
  // By the variable's name: where it lives.
  struct Variable {
    bool reference = false;  // v1
    std::string container;   // empty: the default one
    std::string name;        // in the container; handles without a shared name have one variable: ""
  };
  const Variable& variable(const std::string& name) const { return variable_places_.at(name); }
  const std::map<std::string, Variable>& variable_places() const { return variable_places_; }
  // By the variable's name: a spec whose `name` is the node's. A handle that no node could assign to is left
  // out: Keras exports have such.
  const std::map<std::string, TensorSpec>& variables() const { return variables_; }

 private:
  // `read_only`: indices of handles that are only read.
  void DropUnassigned(const tensorflow::GraphDef& graph, const std::set<int>& read_only);
  struct Node {
    bool known = true;  // false: its op, and so its outputs, can't be told
    std::vector<DType> outputs;
    std::vector<int> inputs;  // indices of nodes_, control inputs too
    std::string keeper;       // this node's op, or one in a function that it calls
    PartialShape placeholder_shape;
  };
  // The nodes that a run of `fetches` visits, until `visit` returns true.
  template <typename Visit>
  void Walk(const std::vector<TensorRef>& fetches, const Visit& visit) const;

  std::unordered_map<std::string, int> index_;
  std::vector<Node> nodes_;
  std::map<std::size_t, std::set<std::string>> missing_ops_;  // by node
  std::map<std::string, TensorSpec> variables_;
  std::map<std::string, Variable> variable_places_;
  bool has_reference_variables_ = false;
  bool has_blocking_ops_ = false;
};

}  // namespace savedmodel::engine
