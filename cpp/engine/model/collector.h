// SPDX-License-Identifier: Apache-2.0
// Optimizes what a loaded model can run, to be written beside it.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "engine/model/function.h"
#include "engine/model/session.h"
#include "engine/saved/optimized_files.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace savedmodel::engine {

// VariableKey of what the init op gives a value, which another load may give another. Throws Error.
std::set<std::string> InitializedVariables(const std::string& path,
                                           const tensorflow::MetaGraphDef& meta_graph);

class Collector {
 public:
  // The session is open. What is in `kept` stays a variable.
  Collector(SharedSession* shared, std::set<std::string> kept) : shared_(shared), kept_(std::move(kept)) {}

  // One that can't be optimized stays as it is.
  void Add(const std::string& label, const std::function<Callee()>& make);
  const OptimizedWriter& writer() const { return writer_; }
  // Of those that stay: "; signature 'a': ...".
  const std::string& why_not() const { return why_not_; }

 private:
  SharedSession* shared_;
  std::set<std::string> kept_;
  OptimizedWriter writer_;
  std::string why_not_;
};

}  // namespace savedmodel::engine
