// SPDX-License-Identifier: Apache-2.0
// Where a tensor comes from: through Identity, the arguments of functions, and variables that hold a path.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph_view.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/graph.pb.h"

namespace savedmodel::engine {

// The graph itself, or the body of one of its functions.
struct Scope {
  struct Caller {
    const Scope* scope;
    const tensorflow::NodeDef* node;
    int first;  // the input that is the first argument; negative if it can't be told
  };
  explicit Scope(const tensorflow::GraphDef& graph) : view(graph) {}
  explicit Scope(const tensorflow::FunctionDef& body) : function(&body), view(body) {}
  const tensorflow::FunctionDef* function = nullptr;  // null: the graph
  GraphView view;
  std::vector<Caller> callers;
};

// The graph and its functions. Refers to the GraphDef.
class Scopes {
 public:
  explicit Scopes(const tensorflow::GraphDef& graph);
  Scopes(const Scopes&) = delete;
  Scopes& operator=(const Scopes&) = delete;

  const Scope& graph() const { return graph_; }
  const std::map<std::string, Scope>& functions() const { return functions_; }
  // The functions that a node calls, also as its op.
  std::vector<const Scope*> CalledBy(const tensorflow::NodeDef& node) const;

 private:
  void AddCallers(const Scope& scope);
  Scope graph_;
  std::map<std::string, Scope> functions_;
  std::map<std::string, std::string> gradients_;
};

// Says of tensors whether they can only hold what the loader feeds to some tensors of the graph.
class Provenance {
 public:
  // sources: names of graph tensors, such as "saver_filename:0".
  Provenance(const Scopes& scopes, std::set<std::string> sources);
  bool OnlyFromSources(const Scope& scope, const std::string& tensor);

 private:
  bool Trace(const Scope& scope, const std::string& tensor);
  bool TraceArgument(const Scope& scope, const std::string& name);
  bool TraceVariable(const std::string& handle);
  const Scopes& scopes_;
  std::set<std::string> sources_;
  std::map<std::pair<const Scope*, std::string>, bool> known_;
};

}  // namespace savedmodel::engine
