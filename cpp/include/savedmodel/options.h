// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "savedmodel/cancellation.h"
#include "savedmodel/duration.h"
#include "savedmodel/export.h"
#include "savedmodel/thread_pool.h"

namespace savedmodel {

// Laid over `config`; what is not set is left as `config` or TensorFlow has it.
struct SessionOptions {
  std::optional<int> inter_op_threads;        // setting it also moves runs off the caller's thread
  std::optional<double> gpu_memory_fraction;  // 0 to 1 of each GPU's memory
  std::optional<bool> allow_growth;           // take GPU memory as needed; process-wide
  std::optional<std::string> visible_gpus;    // "0,2"; process-wide
  std::optional<bool> allow_soft_placement;   // CPU where a node's device or kernel is missing
  std::optional<bool> log_device_placement;   // to the log handler, and by TensorFlow to stdout
  std::optional<bool> xla;                    // auto-clustering
  std::string config;                         // serialized tensorflow.ConfigProto
};

// For one run, or, as LoadOptions::run, for the load itself and as every later run's default.
struct RunOptions {
  // From the call on: the run ends at its next op after it, or within a long one of ours; a RunAsync that
  // waits ends in the queue. With none left (0 or less) the call ends with kDeadlineExceeded; of a load it is
  // a mistake.
  std::optional<Seconds> timeout;
  bool trace = false;  // collect step statistics
  std::string proto;   // serialized tensorflow.RunOptions, the base of the above
  // Of one run, not of LoadOptions::run. What only a session can run (OptimizationReport::executor) is not
  // stopped while it runs.
  std::shared_ptr<Cancellation> cancellation;
};

enum class Optimize {
  kNone,     // the graph as TensorFlow runs it
  kDefault,  // variables that nothing writes become constants, what is constant is computed, layers are
             // fused: the same float32 arithmetic, results equal to within rounding
  kBf16,     // kDefault, and matrix products and convolutions in bfloat16; needs a CPU that has it
};

// Serialized tensorflow.ConfigProto of its text form. Throws Error (kInvalidArgument) that names the line.
SAVEDMODEL_API std::string ParseSessionConfig(const std::string& text);

// Ops that a graph may use. What only serves the loader (OpUse) is always allowed.
struct OpRules {
  std::map<std::string, std::string> refused;  // op -> why
  std::set<std::string> known;                 // an op that is neither refused nor known is refused
};

struct LoadOptions {
  std::set<std::string> tags{"serve"};  // matched exactly against a MetaGraph's tag set
  std::string device;                   // "cpu", "gpu:1", "/device:CPU:1"; empty: as the graph says
  // Intra-op threads of this model, the caller among them. 0: as many as the CPUs that the process may use,
  // or TensorFlow's shared pool if the session's config has intra_op_parallelism_threads. Up to 4096.
  int threads = 0;
  // In place of threads of its own, for intra-op work and RunAsync; `threads` is not used then. A run in one
  // of its threads stays in that thread.
  std::shared_ptr<ThreadPool> thread_pool;
  bool counters = true;  // Function::Counters
  Optimize optimize = Optimize::kDefault;
  SessionOptions session;
  RunOptions run;
  std::vector<std::string> op_libraries;  // shared libraries with custom ops, opened before the load
  // Checked before anything of the model runs: Error (kPermissionDenied). Optimized graphs on disk are not
  // used then.
  std::optional<OpRules> op_rules;
  bool warmup = false;  // sends the model its recorded requests (ReplayWarmup): throws what that throws
  // How many RunAsync of this model wait at most, before they begin; one more ends with kResourceExhausted.
  std::size_t max_queue = 1024;
};

}  // namespace savedmodel
