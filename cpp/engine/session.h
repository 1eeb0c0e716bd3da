// SPDX-License-Identifier: Apache-2.0
// What a loaded model and the functions bound on it share.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "engine/executor/executor.h"
#include "engine/graph.h"
#include "engine/threads/intra_op.h"
#include "savedmodel/options.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

struct SharedSession {
  SharedSession(std::unique_ptr<IntraOpThreads> intra_op, std::unique_ptr<tensorflow::Session> opened,
                const tensorflow::GraphDef& loaded)
      : threads(std::move(intra_op)), session(std::move(opened)), graph(loaded) {}

  std::unique_ptr<IntraOpThreads> threads;  // null: TensorFlow's shared ones; outlives the session
  // Runs read `session` without the mutex: nobody closes while one is running.
  std::mutex mutex;                              // orders release of callables and close
  std::unique_ptr<tensorflow::Session> session;  // null once closed
  GraphIndex graph;
  tensorflow::RunOptions run_options;  // the model's own

  // Functions that need no session to run have an executor of their own, made of these. Executors hold
  // kernels on the session's device and go before it.
  bool own_executors = false;
  tensorflow::SessionOptions options;
  tensorflow::SessionOptions optimized_options;  // for graphs that the optimizer has seen
  tensorflow::GraphDef graph_def;                // empty without own_executors
  tensorflow::CancellationManager cancellation;
  Optimize optimize = Optimize::kNone;
  std::set<std::string> written;    // variables that signatures may write: VariableKey
  std::atomic<bool> thawed{false};  // a run by tensor name may write others: what was frozen is stale
  std::map<const GraphExecutor*, std::unique_ptr<GraphExecutor>> executors;  // under `mutex`
};

}  // namespace savedmodel::engine
