// SPDX-License-Identifier: Apache-2.0
// What a loaded model and the functions bound on it share.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "engine/base/paths.h"
#include "engine/executor/executor.h"
#include "engine/graph/graph.h"
#include "engine/graph/shared_constants.h"
#include "engine/objects/call_graph.h"
#include "engine/saved/optimized_files.h"
#include "engine/threads/intra_op.h"
#include "savedmodel/options.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

class SharedSession {
 public:
  using Executors = std::map<const GraphExecutor*, std::unique_ptr<GraphExecutor>>;

  SharedSession(std::unique_ptr<IntraOpThreads> intra_op, const tensorflow::GraphDef& loaded)
      : threads(std::move(intra_op)), graph(loaded) {}

  // Opens the session first, where the load left it for later; throws Error then. Nobody closes while a call
  // is running.
  tensorflow::Session& session();
  const tensorflow::DeviceMgr& devices();
  // With the call's nodes in its graph.
  tensorflow::Session& Extended(const CallGraph& call);
  bool is_open() const { return opened_.load(std::memory_order_acquire) != nullptr; }
  void Set(std::unique_ptr<tensorflow::Session> session);

  // What this does not own already is made an owner of.
  const GraphExecutor* Keep(std::unique_ptr<GraphExecutor> executor);
  void Release(const GraphExecutor* executor, std::optional<tensorflow::Session::CallableHandle> callable);
  // Makes running calls end with kCancelled; may be called while there are some.
  void Cancel();
  void Close();

  std::unique_ptr<IntraOpThreads> threads;  // null: TensorFlow's shared ones; outlives the session
  GraphIndex graph;
  std::unique_ptr<PlainPath> path;     // what the session was restored from
  tensorflow::RunOptions run_options;  // the model's own

  // Functions that need no session to run have an executor of their own, made of these.
  bool own_executors = false;
  tensorflow::SessionOptions options;
  tensorflow::SessionOptions optimized_options;  // for graphs that the optimizer has seen
  tensorflow::GraphDef graph_def;                // empty without own_executors, and until the session is open
  tensorflow::CancellationManager cancellation;
  Optimize optimize = Optimize::kNone;
  bool convolves = false;           // the graph has convolutions
  std::set<std::string> written;    // variables that signatures may write: VariableKey
  std::set<std::string> frozen;     // that are constants in some function's graph
  std::atomic<bool> thawed{false};  // a run by tensor name may write such: what was frozen is stale
  std::mutex prepare_mutex;         // guards the three; one function is optimized at a time
  SharedConstants constants;        // of all optimized functions

  StatefulKernels stateful_kernels;

  // What an earlier optimizer left beside the model; with it, a session is opened when one is needed.
  std::unique_ptr<const OptimizedFiles> saved;
  std::string saved_why_not;                             // it is not used, though it is there
  std::unique_ptr<tensorflow::DeviceMgr> early_devices;  // of functions that need no session
  std::function<void(SharedSession*)> open;              // calls Set

 private:
  std::mutex mutex_;  // orders release of callables and close
  std::mutex open_mutex_;
  std::set<std::string> extended_;                // names of calls; guarded by open_mutex_
  std::unique_ptr<tensorflow::Session> session_;  // null until it is open, and once it is closed
  std::atomic<tensorflow::Session*> opened_{nullptr};
  Executors executors_;  // hold kernels on a device, and go before it
};

}  // namespace savedmodel::engine
