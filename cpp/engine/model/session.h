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
#include "engine/graph/plan.h"
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
  std::vector<FunctionGraph> signatures;        // with a cache: those that can be called
  std::map<std::string, std::string> keys;      // CanonicalKey of signatures
};

// The session must be open.
const tensorflow::DeviceMgr& DevicesOf(tensorflow::Session& session);

class SharedSession {
 public:
  enum class State {
    kLoading,
    kDevicesOnly,  // functions that need no session run on devices; what needs one opens it
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

  // These four open the session first, if it is not; they throw Error then. Nobody closes while a call is
  // running. Free leaves a session alone that somebody asked for, but for Borrow.
  tensorflow::Session& session();
  const tensorflow::DeviceMgr& devices();
  tensorflow::Session& Extended(const CallGraph& call);  // with the call's nodes in its graph
  std::shared_ptr<tensorflow::Session> Borrow();         // for the time of one piece of work
  // The devices of a function; one that is standalone needs no session. With prepared.mutex only.
  const tensorflow::DeviceMgr& DevicesFor(bool standalone);

  // Functions that need no session run on devices of their own from now on, so that Free may come.
  void AllowFree() { may_free_ = true; }
  bool may_free() const { return may_free_ && !in_use_ && state() == State::kOpen; }
  // Frees the session with its variables. What needs one later opens it again. With prepared.mutex only.
  void Free();
  // Without a session, frees the pages of weights of which kernels have packed copies. With prepared.mutex
  // only.
  void FreePacked();
  // Bytes of constants, variables and packed weights, each counted once.
  std::size_t WeightBytes();
  // Somebody outside got a view of a weight: their pages stay.
  void NoteView() { has_views_ = true; }

  const ModelSource& source() const { return *source_; }
  const GraphIndex& index() const { return index_; }
  IntraOpThreads* threads() const { return threads_.get(); }
  // As the session has it; null until it is open, and after DropGraph and Free.
  std::shared_ptr<const tensorflow::GraphDef> graph();
  void DropGraph();

  // Takes ownership; the pointer is valid until Release or Close.
  const GraphExecutor* Keep(std::unique_ptr<GraphExecutor> executor);
  // The same, for functions with this key (CanonicalKey) to share, and with it the report.
  const GraphExecutor* Keep(std::unique_ptr<GraphExecutor> executor, const std::string& key,
                            const OptimizationReport& report);
  bool Keeps(const std::string& key);
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
  void OpenAgain();  // with open_mutex_

  const std::unique_ptr<const ModelSource> source_;
  std::unique_ptr<IntraOpThreads> threads_;  // outlives devices and session
  const GraphIndex index_;
  std::atomic<State> state_{State::kLoading};
  std::mutex open_mutex_;
  std::mutex mutex_;                // orders release of callables and close
  std::set<std::string> extended_;  // names of calls; guarded by open_mutex_
  bool may_free_ = false;
  std::atomic<bool> in_use_{false};
  std::atomic<bool> has_views_{false};
  std::shared_ptr<const tensorflow::GraphDef> graph_;
  std::unique_ptr<PlainPath> path_;                     // what the session was restored from
  std::unique_ptr<tensorflow::DeviceMgr> devices_;      // of functions that need no session, or null
  std::shared_ptr<tensorflow::Session> session_;        // null while there is none
  std::set<const void*> dropped_;                       // constants whose pages FreePacked freed
  Executors executors_;                                 // hold kernels on a device, and go before it
  std::map<std::string, const GraphExecutor*> shared_;  // by key
};

}  // namespace savedmodel::engine
