// SPDX-License-Identifier: Apache-2.0
// The source of a model: the SavedModel on disk, and the options of the load.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "engine/base/paths.h"
#include "engine/saved/optimized_files.h"
#include "engine/threads/intra_op.h"
#include "savedmodel/options.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

namespace savedmodel::engine {

// A session whose variables and tables have their values.
struct OpenedSession {
  std::unique_ptr<tensorflow::Session> session;
  tensorflow::GraphDef graph;
  std::unique_ptr<PlainPath> path;  // what reads an asset later has it
};

class ModelSource {
 public:
  // Throws Error for options that TensorFlow can't have.
  ModelSource(const std::string& path, LoadOptions options);

  const std::string& path() const { return path_; }
  const LoadOptions& options() const { return options_; }
  const tensorflow::SessionOptions& session_options() const { return session_options_; }
  const tensorflow::RunOptions& run_options() const { return run_options_; }
  std::string full_device() const;  // of LoadOptions::device; empty without one

  // The MetaGraph with the tags that were asked for, its nodes on the device. Throws Error.
  tensorflow::MetaGraphDef ReadGraph() const;
  // With one name for each variable (objects/mend.h). Throws Error if the model is not what it was (Hold).
  tensorflow::MetaGraphDef ReadAgain() const;
  // Describes the source; optimized functions on disk are used only if theirs is equal.
  Origin MakeOrigin() const { return MakeOrigin(options_.optimize); }
  Origin MakeOrigin(Optimize level) const;
  // From now on the model has to stay as `origin` describes it.
  void Hold(const Origin& origin) { fingerprint_ = origin.at(kModelTopic); }
  void CheckUnchanged() const;  // throws Error if it has not; without Hold it may change
  // Devices without a session. Throws Error.
  std::unique_ptr<tensorflow::DeviceMgr> MakeDevices() const;
  // `threads` may be null. Throws Error.
  OpenedSession Open(tensorflow::MetaGraphDef meta_graph, IntraOpThreads* threads) const;

 private:
  std::string path_;
  LoadOptions options_;
  tensorflow::SessionOptions session_options_;
  tensorflow::RunOptions run_options_;
  std::string fingerprint_;  // empty: the model may change
};

}  // namespace savedmodel::engine
