// SPDX-License-Identifier: Apache-2.0
// What a loaded model and the functions bound on it share.
#pragma once

#include <memory>
#include <mutex>

#include "engine/graph.h"
#include "engine/threads/intra_op.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace savedmodel::engine {

struct SharedSession {
  SharedSession(std::unique_ptr<IntraOpThreads> intra_op, std::unique_ptr<tensorflow::Session> opened,
                const tensorflow::GraphDef& graph_def)
      : threads(std::move(intra_op)), session(std::move(opened)), graph(graph_def) {}

  std::unique_ptr<IntraOpThreads> threads;  // null: TensorFlow's shared ones; outlives the session
  // Runs read `session` without the mutex: nobody closes while one is running.
  std::mutex mutex;                              // orders release of callables and close
  std::unique_ptr<tensorflow::Session> session;  // null once closed
  GraphIndex graph;
  tensorflow::RunOptions run_options;  // the model's own
};

}  // namespace savedmodel::engine
