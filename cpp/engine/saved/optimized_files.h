// SPDX-License-Identifier: Apache-2.0
// Optimized functions on disk, beside their SavedModel. The graphs are in one file, and their weights in
// another, which is mapped into memory and shared by the processes that load it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"
#include "engine/graph/plan.h"
#include "engine/saved/mapped_weights.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

struct OptimizedFunction {
  FunctionGraph function;
  IsolatedGraph isolated;
  OptimizationReport report;
  bool standalone = false;       // has no variable, table or other resource
  std::set<std::string> frozen;  // VariableKey of the variables that it has as constants
};

// The source and target of an optimized graph, by topic. The graph is valid only if all of them match.
using Origin = std::map<std::string, std::string>;

inline constexpr char kModelTopic[] = "model";  // a SourceFingerprint

class OptimizedFiles {
 public:
  static bool Exist(const std::string& path);
  // Returns null, with the reason in `why_not`, if the files below kOptimizedDirectory of `path` are not for
  // `origin` or can't be read.
  static std::unique_ptr<const OptimizedFiles> Read(const std::string& path, const Origin& origin,
                                                    std::string* why_not);

  // The function with these feeds, and these fetches among its own; or null.
  const OptimizedFunction* Find(const FunctionGraph& function) const;
  // Fetches of the function's isolated graph, in the order of `function`.
  static std::vector<std::string> Fetches(const OptimizedFunction& found, const FunctionGraph& function);
  bool has_standalone() const;
  const ConstantPool& pool() const { return pool_; }
  // Where most weights have been packed by now, and are not read again.
  void DropMappedPages() const;

 private:
  std::vector<OptimizedFunction> functions_;
  ConstantPool pool_;
  MappedWeights weights_;
  bool is_local_ = false;  // the weights' pages are those of a file, and not a copy
};

// Collects functions, and writes them.
class OptimizedWriter {
 public:
  // `pool` has the constants of `function`; a constant that several functions share is written once.
  void Add(OptimizedFunction function, const ConstantPool& pool);
  bool empty() const { return functions_.empty(); }
  // Writes to kOptimizedDirectory of `path`, and replaces its contents. Throws Error.
  void Write(const std::string& path, const Origin& origin) const;

 private:
  std::vector<OptimizedFunction> functions_;
  std::vector<tensorflow::Tensor> weights_;
};

}  // namespace savedmodel::engine
