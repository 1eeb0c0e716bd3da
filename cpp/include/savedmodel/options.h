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

// Overrides `config`; an unset option keeps the value of `config` or TensorFlow.
struct SessionOptions {
  std::optional<int> inter_op_threads;        // setting it also moves runs off the caller's thread
  std::optional<double> gpu_memory_fraction;  // 0 to 1 of each GPU's memory
  std::optional<bool> allow_growth;           // allocate GPU memory as needed; process-wide
  std::optional<std::string> visible_gpus;    // "0,2"; process-wide
  std::optional<bool> allow_soft_placement;   // use the CPU if a node's device or kernel is missing
  std::optional<bool> log_device_placement;   // to the log handler, and by TensorFlow to stdout
  std::optional<bool> xla;                    // auto-clustering
  std::string config;                         // serialized tensorflow.ConfigProto
};

// Options of one run, or, as LoadOptions::run, of the load itself and the default of every later run.
struct RunOptions {
  // Counts from the call. The run ends at its next op after it, or within a long-running op of this library;
  // a queued RunAsync ends in the queue. A value of 0 or less ends a call with kDeadlineExceeded, and is a
  // UsageError in a load.
  std::optional<Seconds> timeout;
  bool trace = false;  // collect step statistics
  std::string proto;   // serialized tensorflow.RunOptions, the base for the fields above
  // For one run, not for LoadOptions::run. Does not stop a function in a session
  // (OptimizationReport::executor) while it runs.
  std::shared_ptr<Cancellation> cancellation;
};

enum class Optimize {
  kNone,     // the graph as TensorFlow runs it
  kDefault,  // variables that are never written become constants, constant expressions are folded, layers are
             // fused: the same float32 arithmetic, results equal to within rounding
  kBf16,     // kDefault, with matrix products and convolutions in bfloat16; needs CPU support for it
  kInt8,     // kDefault, with dense layers and convolutions in int8 where that is faster: weights are
             // rounded per output column, inputs per row as they come; no calibration
};

// Serializes a tensorflow.ConfigProto from its text form. Throws Error (kInvalidArgument) that names the
// line.
SAVEDMODEL_API std::string ParseSessionConfig(const std::string& text);

// Ops that a graph may use. Uses that only serve the loader (OpUse) are always allowed.
struct OpRules {
  std::map<std::string, std::string> refused;  // op -> why
  std::set<std::string> known;                 // ops that are neither refused nor known are refused
};

struct LoadOptions {
  std::set<std::string> tags{"serve"};  // matched exactly against a MetaGraph's tag set
  std::string device;                   // "cpu", "gpu:1", "/device:CPU:1"; empty: the graph's own
  // Intra-op threads of this model, including the caller. 0: one for each CPU that the process may use, or
  // TensorFlow's shared pool if the session's config has intra_op_parallelism_threads. At most 4096.
  int threads = 0;
  // Used instead of the model's own threads, for intra-op work and RunAsync; `threads` is then ignored. A run
  // in one of its threads stays in that thread.
  std::shared_ptr<ThreadPool> thread_pool;
  bool counters = true;  // Function::Counters
  Optimize optimize = Optimize::kDefault;
  // With kInt8: layers that stay float32, by the names that OptimizationReport::int8_layers gives them.
  std::set<std::string> float32_layers;
  SessionOptions session;
  RunOptions run;
  std::vector<std::string> op_libraries;  // shared libraries with custom ops, opened before the load
  // Checked before any part of the model runs: Error (kPermissionDenied). Optimized graphs on disk are then
  // ignored.
  std::optional<OpRules> op_rules;
  // Replays the model's recorded requests (ReplayWarmup); throws what that throws. Without any, makes all
  // signatures ready (Model::Prepare).
  bool warmup = false;
  // The most RunAsync calls of this model that wait; one more ends with kResourceExhausted.
  std::size_t max_queue = 1024;
  // A directory that keeps optimized functions with their weights for later loads of any model, at most 8 GB;
  // processes may share it. Nobody else may write to it: Error (kPermissionDenied). The model's files have to
  // stay as they are while it is loaded. Unset: SAVEDMODEL_CACHE in the environment ("1" for
  // DefaultCacheDirectory()); empty: none.
  std::optional<std::string> cache;
  // After the load and after the first call of each function, drops the pages of TensorFlow's libraries from
  // the process's resident memory (about 300 MB). Pages that are needed again come from the page cache.
  // SAVEDMODEL_KEEP_PAGES in the environment switches it off for all models.
  bool drop_library_pages = true;
  // After the first call of every signature, frees variables that no optimized signature reads any more. What
  // needs them later (variables, functions by tensor name, runs with a trace) reads the model's files again:
  // Error (kFailedPrecondition) if they have changed. SAVEDMODEL_KEEP_VARIABLES in the environment switches
  // it off for all models.
  bool free_variables = true;
};

}  // namespace savedmodel
