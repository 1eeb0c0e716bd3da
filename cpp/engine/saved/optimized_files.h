// SPDX-License-Identifier: Apache-2.0
// Optimized functions on disk, beside the SavedModel that they were made of: the graphs in one file, and
// their weights in another, which is mapped into memory and so shared by the processes that load it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/graph/constants.h"
#include "engine/graph/isolate.h"
#include "engine/graph/plan.h"
#include "savedmodel/optimization.h"

namespace savedmodel::engine {

struct OptimizedFunction {
  FunctionGraph function;
  IsolatedGraph isolated;
  OptimizationReport report;
  bool standalone = false;       // has no variable, table or other resource
  std::set<std::string> frozen;  // VariableKey of the variables that are constants in it
};

// What an optimized graph was made of and for, by topic: it holds only where all of it is the same.
using Origin = std::map<std::string, std::string>;

inline constexpr char kModelTopic[] = "model";  // a SourceFingerprint

class OptimizedFiles {
 public:
  static bool Exist(const std::string& path);
  // Null, with the reason in `why_not`, if they are not for `origin` or can't be read.
  static std::unique_ptr<const OptimizedFiles> Read(const std::string& path, const Origin& origin,
                                                    std::string* why_not);

  // The function that has these feeds and, maybe among others, these fetches; or null.
  const OptimizedFunction* Find(const FunctionGraph& function) const;
  // Of the function's isolated graph, in the order of `function`.
  static std::vector<std::string> Fetches(const OptimizedFunction& found, const FunctionGraph& function);
  bool has_standalone() const;
  const ConstantPool& pool() const { return pool_; }

 private:
  std::vector<OptimizedFunction> functions_;
  ConstantPool pool_;
};

// Collects functions, and writes them.
class OptimizedWriter {
 public:
  // `pool` has the constants of `function`; one that several functions have is written once.
  void Add(OptimizedFunction function, const ConstantPool& pool);
  bool empty() const { return functions_.empty(); }
  // Into kOptimizedDirectory of `path`, replacing what is there. Throws Error.
  void Write(const std::string& path, const Origin& origin) const;

 private:
  std::vector<OptimizedFunction> functions_;
  std::vector<tensorflow::Tensor> weights_;
};

}  // namespace savedmodel::engine
