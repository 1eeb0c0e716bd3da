// SPDX-License-Identifier: Apache-2.0
// State that a loaded model shares with the functions bound on it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/executor/executor.h"
#include "engine/graph/graph.h"
#include "engine/graph/shared_constants.h"
#include "engine/model/source.h"
#include "engine/objects/call_graph.h"
#include "engine/saved/cache.h"
#include "engine/saved/optimized_files.h"
#include "engine/threads/intra_op.h"
#include "savedmodel/optimization.h"
#include "savedmodel/options.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

// Settings of all functions; constant after the load.
struct ModelSettings {
  Optimize optimize = Optimize::kNone;
  bool convolves = false;      // the graph has convolutions
  bool own_executors = false;  // functions that need no session have an executor of their own
  tensorflow::RunOptions run_options;
  tensorflow::SessionOptions plain_options;      // of executors, for graphs as they were loaded
  tensorflow::SessionOptions optimized_options;  // for graphs that the optimizer has seen
};

// Which variables are constants in the graph of some function, and which some function may write:
// VariableKey.
class FrozenVariables {
 public:
  void AddFrozen(const std::set<std::string>& keys) { frozen_.insert(keys.begin(), keys.end()); }
  // Constants of variables that are frozen already are stale from now on.
  void AddWritten(const std::set<std::string>& keys);
  bool MayFreeze(const std::string& key) const { return !stale_ && written_.count(key) == 0; }
  // True once a run may have written a variable that is a constant elsewhere. Any thread may ask.
  bool stale() const { return stale_; }

 private:
  std::set<std::string> frozen_;
  std::set<std::string> written_;
  std::atomic<bool> stale_{false};
};

// State that functions share while they are prepared, one at a time.
struct PreparedFunctions {
  std::mutex mutex;
  FrozenVariables variables;
  SharedConstants constants;
  StatefulKernels stateful_kernels;
  // What earlier loads left, beside the model or in the cache.
  std::vector<std::unique_ptr<const OptimizedFiles>> saved;
  std::string saved_from;                       // where it was read from
  std::string saved_why_not;                    // it is not used, though it is there
  std::unique_ptr<const OptimizedCache> cache;  // for functions that are optimized here; or null
  std::set<std::string> initialized;            // with a cache: variables that the load's init op writes
};

class SharedSession {
 public:
  enum class State {
    kLoading,
    kDevicesOnly,  // saved functions run on devices; what needs a session opens it
    kOpen,
    kClosed,
  };

  // `threads` may be null: TensorFlow's shared ones.
  SharedSession(std::unique_ptr<const ModelSource> source, std::unique_ptr<IntraOpThreads> threads,
                const tensorflow::GraphDef& graph);

  // The ways from kLoading; Open throws Error.
  void UseDevices(std::unique_ptr<tensorflow::DeviceMgr> devices);
  void Open(tensorflow::MetaGraphDef meta_graph);
  State state() const { return state_.load(std::memory_order_acquire); }

  // These three open the session first, if the load did not; they throw Error then. Nobody closes while a
  // call is running.
  tensorflow::Session& session();
  const tensorflow::DeviceMgr& devices();
  tensorflow::Session& Extended(const CallGraph& call);  // with the call's nodes in its graph
  // The devices of a saved function; one that is standalone needs no session.
  const tensorflow::DeviceMgr& DevicesFor(bool standalone);

  const ModelSource& source() const { return *source_; }
  const GraphIndex& index() const { return index_; }
  IntraOpThreads* threads() const { return threads_.get(); }
  // As the session has it; empty until it is open, and after DropGraph.
  const tensorflow::GraphDef& graph() const { return graph_; }
  void DropGraph() { graph_.Clear(); }

  // Takes ownership; the pointer is valid until Release or Close.
  const GraphExecutor* Keep(std::unique_ptr<GraphExecutor> executor);
  // The same, for functions with this key (CanonicalKey) to share, and with it the report.
  const GraphExecutor* Keep(std::unique_ptr<GraphExecutor> executor, const std::string& key,
                            const OptimizationReport& report);
  // The executor kept for this key, which the caller releases too; null if there is none.
  const GraphExecutor* Share(const std::string& key, OptimizationReport* report);
  void Release(const GraphExecutor* executor, std::optional<tensorflow::Session::CallableHandle> callable);
  // Makes running calls end with kCancelled; may be called while there are some.
  void Cancel();
  void Close();

  ModelSettings settings;
  PreparedFunctions prepared;
  tensorflow::CancellationManager cancellation;  // of all runs

 private:
  struct Kept {
    std::unique_ptr<GraphExecutor> executor;
    int users = 1;
    std::string key;  // empty: it is not shared
    OptimizationReport report;
  };
  using Executors = std::map<const GraphExecutor*, Kept>;

  void Adopt(OpenedSession opened);

  const std::unique_ptr<const ModelSource> source_;
  std::unique_ptr<IntraOpThreads> threads_;  // outlives devices and session
  const GraphIndex index_;
  std::atomic<State> state_{State::kLoading};
  std::mutex open_mutex_;
  std::mutex mutex_;                // orders release of callables and close
  std::set<std::string> extended_;  // names of calls; guarded by open_mutex_
  tensorflow::GraphDef graph_;
  std::unique_ptr<PlainPath> path_;  // what the session was restored from
  std::unique_ptr<tensorflow::DeviceMgr> early_devices_;
  std::unique_ptr<tensorflow::Session> session_;        // null until it is open, and once it is closed
  Executors executors_;                                 // hold kernels on a device, and go before it
  std::map<std::string, const GraphExecutor*> shared_;  // by key
};

}  // namespace savedmodel::engine
