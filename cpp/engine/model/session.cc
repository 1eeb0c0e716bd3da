// SPDX-License-Identifier: Apache-2.0
#include "engine/model/session.h"

#include <utility>

#include "engine/base/status.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

tf::Session& SharedSession::session() {
  if (tf::Session* opened = opened_.load(std::memory_order_acquire); opened != nullptr) return *opened;
  const std::lock_guard<std::mutex> lock(open_mutex_);
  if (!is_open()) open(this);
  return *opened_.load(std::memory_order_acquire);
}

tf::Session& SharedSession::Extended(const CallGraph& call) {
  tf::Session& opened = session();
  const std::lock_guard<std::mutex> lock(open_mutex_);
  if (extended_.count(call.name) == 0) {
    ThrowIfError(opened.Extend(call.extension), "function '" + call.name + "'");
    extended_.insert(call.name);
  }
  return opened;
}

const tf::DeviceMgr& SharedSession::devices() {
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError(session().LocalDeviceManager(&devices));
  return *devices;
}

void SharedSession::Set(std::unique_ptr<tf::Session> session) {
  const std::lock_guard<std::mutex> lock(mutex_);
  session_ = std::move(session);
  opened_.store(session_.get(), std::memory_order_release);
}

const GraphExecutor* SharedSession::Keep(std::unique_ptr<GraphExecutor> executor) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const GraphExecutor* kept = executor.get();
  executors_.emplace(kept, std::move(executor));
  return kept;
}

void SharedSession::Release(const GraphExecutor* executor,
                            std::optional<tf::Session::CallableHandle> callable) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (session_ != nullptr && callable) session_->ReleaseCallable(*callable).IgnoreError();
    if (executors_.erase(executor) == 0) return;
  }
  constants.DropUnused();
}

void SharedSession::Cancel() {
  cancellation.StartCancel();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (session_ != nullptr) session_->Close().IgnoreError();
}

void SharedSession::Close() {
  std::unique_ptr<IntraOpThreads> workers;        // goes after the devices
  std::unique_ptr<tf::DeviceMgr> devices;         // after the executors
  std::unique_ptr<const OptimizedFiles> weights;  // mapped
  std::unique_ptr<tf::Session> session;
  Executors executors;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    workers = std::move(threads);
    devices = std::move(early_devices);
    weights = std::move(saved);
    session = std::move(session_);
    opened_.store(nullptr, std::memory_order_release);
    executors.swap(executors_);
    graph_def.Clear();
  }
  executors.clear();
  constants.Clear();
  stateful_kernels.Clear();
  if (session != nullptr) session->Close().IgnoreError();
}

}  // namespace savedmodel::engine
