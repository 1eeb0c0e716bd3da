// SPDX-License-Identifier: Apache-2.0
#include "engine/model/session.h"

#include <utility>

#include "engine/base/status.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

void FrozenVariables::AddWritten(const std::set<std::string>& keys) {
  for (const std::string& key : keys) {
    if (written_.insert(key).second && frozen_.count(key) > 0) stale_ = true;
  }
}

SharedSession::SharedSession(std::unique_ptr<const ModelSource> source,
                             std::unique_ptr<IntraOpThreads> threads, const tf::GraphDef& graph)
    : source_(std::move(source)), threads_(std::move(threads)), index_(graph) {
  settings.optimize = source_->options().optimize;
  settings.run_options = source_->run_options();
  settings.plain_options = source_->session_options();
}

void SharedSession::UseDevices(std::unique_ptr<tf::DeviceMgr> devices) {
  if (threads_ != nullptr) threads_->UseFor(*devices);
  early_devices_ = std::move(devices);
  state_.store(State::kDevicesOnly, std::memory_order_release);
}

void SharedSession::Open(tf::MetaGraphDef meta_graph) {
  Adopt(source_->Open(std::move(meta_graph), threads_.get()));
}

void SharedSession::Adopt(OpenedSession opened) {
  const std::lock_guard<std::mutex> lock(mutex_);
  graph_.Swap(&opened.graph);
  path_ = std::move(opened.path);
  session_ = std::move(opened.session);
  state_.store(State::kOpen, std::memory_order_release);
}

tf::Session& SharedSession::session() {
  if (state() != State::kOpen) {
    const std::lock_guard<std::mutex> lock(open_mutex_);
    if (state() == State::kClosed) throw Error(Code::kFailedPrecondition, "the model is closed");
    if (state() != State::kOpen) Open(source_->ReadAgain());
  }
  return *session_;
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

const tf::DeviceMgr& SharedSession::DevicesFor(bool standalone) {
  return standalone && early_devices_ != nullptr ? *early_devices_ : devices();
}

const GraphExecutor* SharedSession::Keep(std::unique_ptr<GraphExecutor> executor) {
  return Keep(std::move(executor), "", {});
}

const GraphExecutor* SharedSession::Keep(std::unique_ptr<GraphExecutor> executor, const std::string& key,
                                         const OptimizationReport& report) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const GraphExecutor* kept = executor.get();
  executors_.emplace(kept, Kept{std::move(executor), 1, key, report});
  if (!key.empty()) shared_[key] = kept;
  return kept;
}

const GraphExecutor* SharedSession::Share(const std::string& key, OptimizationReport* report) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = shared_.find(key);
  if (found == shared_.end()) return nullptr;
  Kept& kept = executors_.at(found->second);
  ++kept.users;
  *report = kept.report;
  return found->second;
}

void SharedSession::Release(const GraphExecutor* executor,
                            std::optional<tf::Session::CallableHandle> callable) {
  Executors::node_type released;  // destroyed without the lock
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (session_ != nullptr && callable) session_->ReleaseCallable(*callable).IgnoreError();
    const auto found = executors_.find(executor);
    if (found == executors_.end() || --found->second.users > 0) return;
    const auto shared = shared_.find(found->second.key);
    if (shared != shared_.end() && shared->second == executor) shared_.erase(shared);
    released = executors_.extract(found);
  }
  released = {};
  prepared.constants.DropUnused();
}

void SharedSession::Cancel() {
  cancellation.StartCancel();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (session_ != nullptr) session_->Close().IgnoreError();
}

void SharedSession::Close() {
  std::unique_ptr<IntraOpThreads> threads;                     // goes after the devices
  std::unique_ptr<tf::DeviceMgr> devices;                      // after the executors
  std::vector<std::unique_ptr<const OptimizedFiles>> weights;  // mapped
  std::unique_ptr<tf::Session> session;
  Executors executors;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.store(State::kClosed, std::memory_order_release);
    threads = std::move(threads_);
    devices = std::move(early_devices_);
    weights.swap(prepared.saved);
    session = std::move(session_);
    executors.swap(executors_);
    shared_.clear();
    graph_.Clear();
  }
  executors.clear();
  prepared.constants.Clear();
  prepared.stateful_kernels.Clear();
  if (session != nullptr) session->Close().IgnoreError();
}

}  // namespace savedmodel::engine
