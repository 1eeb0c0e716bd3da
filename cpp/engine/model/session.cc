// SPDX-License-Identifier: Apache-2.0
#include "engine/model/session.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "engine/base/tensors.h"
#include "engine/graph/variables.h"
#include "engine/ops/constant_cache.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

namespace {

void FreeVariables(tf::Session& session, const GraphIndex& index) {
  const tf::DeviceMgr* devices = nullptr;
  if (!session.LocalDeviceManager(&devices).ok() || devices->NumDevices() > 1) return;  // others' memory
  tf::Device* const device = devices->ListDevices().front();
  for (const auto& [name, place] : index.variable_places()) FreeVariable(device, place.container, place.name);
}

}  // namespace

const tf::DeviceMgr& DevicesOf(tf::Session& session) {
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError(session.LocalDeviceManager(&devices));
  return *devices;
}

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
  devices_ = std::move(devices);
  state_.store(State::kDevicesOnly, std::memory_order_release);
}

void SharedSession::Open(tf::MetaGraphDef meta_graph) {
  Adopt(source_->Open(std::move(meta_graph), threads_.get()));
}

void SharedSession::Adopt(OpenedSession opened) {
  const std::lock_guard<std::mutex> lock(mutex_);
  graph_ = std::make_shared<const tf::GraphDef>(std::move(opened.graph));
  path_ = std::move(opened.path);
  session_ = std::move(opened.session);
  state_.store(State::kOpen, std::memory_order_release);
}

void SharedSession::OpenAgain() {
  if (state() == State::kClosed) throw Error(Code::kFailedPrecondition, "the model is closed");
  if (state() != State::kOpen) Open(source_->ReadAgain());
}

tf::Session& SharedSession::session() {
  if (!in_use_.load(std::memory_order_acquire)) {
    const std::lock_guard<std::mutex> lock(open_mutex_);
    OpenAgain();
    in_use_.store(true, std::memory_order_release);
  }
  return *session_;
}

std::shared_ptr<tf::Session> SharedSession::Borrow() {
  const std::lock_guard<std::mutex> lock(open_mutex_);
  OpenAgain();
  return session_;
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

const tf::DeviceMgr& SharedSession::devices() { return DevicesOf(session()); }

const tf::DeviceMgr& SharedSession::DevicesFor(bool standalone) {
  if (!standalone || (devices_ == nullptr && !may_free_)) return devices();
  if (devices_ == nullptr) {
    auto made = source_->MakeDevices();
    if (threads_ != nullptr) threads_->UseFor(*made);
    const std::lock_guard<std::mutex> lock(mutex_);
    devices_ = std::move(made);
  }
  return *devices_;
}

std::shared_ptr<const tf::GraphDef> SharedSession::graph() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return graph_;
}

void SharedSession::DropGraph() {
  const std::lock_guard<std::mutex> lock(mutex_);
  graph_ = nullptr;
}

void SharedSession::Free() {
  const std::lock_guard<std::mutex> opening(open_mutex_);
  if (!may_free()) return;
  std::shared_ptr<tf::Session> session;
  std::unique_ptr<PlainPath> path;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    session = std::move(session_);
    path = std::move(path_);
    graph_ = nullptr;
    state_.store(State::kDevicesOnly, std::memory_order_release);
  }
  if (session.use_count() == 1) return FreeVariables(*session, index_);
  has_views_ = true;  // who borrows it may read a variable that is a constant too
}

void SharedSession::FreePacked() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!may_free_ || has_views_ || state() != State::kDevicesOnly) return;
  using Range = std::pair<const char*, const char*>;
  const auto range = [](const tf::Tensor& tensor) {
    const auto* begin = static_cast<const char*>(tensor.data());
    return Range{begin, begin + tensor.TotalBytes()};
  };
  std::vector<Range> read;
  std::map<const void*, const tf::Tensor*> packed;
  for (const auto& [executor, kept] : executors_) {
    const auto constants = executor->Constants();
    if (!constants) return;
    for (const GraphExecutor::Constant& constant : *constants) {
      if (constant.packed) {
        packed.emplace(constant.value->data(), constant.value);
      } else {
        read.push_back(range(*constant.value));
      }
    }
  }
  // A constant may be a part of another one.
  for (const auto& [data, value] : packed) {
    const Range own = range(*value);
    const bool overlaps = std::any_of(read.begin(), read.end(), [&](const Range& other) {
      return other.first < own.second && own.first < other.second;
    });
    if (overlaps || !prepared.constants.Forget(*value)) continue;
    DropPages(*value);
    dropped_.insert(data);
  }
}

std::size_t SharedSession::WeightBytes() {
  std::map<const void*, std::size_t> weights;
  const std::lock_guard<std::mutex> opening(open_mutex_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [executor, kept] : executors_) {
      for (const auto& constant : executor->Constants().value_or(std::vector<GraphExecutor::Constant>())) {
        weights[constant.value->data()] = constant.value->TotalBytes();
      }
    }
    // An address may have become another tensor's since.
    for (auto data = dropped_.begin(); data != dropped_.end();) {
      const auto found = weights.find(*data);
      if (found != weights.end()) found->second = 0;
      data = found != weights.end() ? std::next(data) : dropped_.erase(data);
    }
  }
  if (session_ != nullptr) {
    for (tf::Device* device : DevicesOf(*session_).ListDevices()) {
      for (const auto& [name, place] : index_.variable_places()) {
        weights.insert(BytesOfVariable(device, place.container, place.name));
      }
    }
  }
  std::size_t bytes = 0;
  std::set<const void*> buffers;
  for (const auto& [data, size] : weights) {
    bytes += size;
    buffers.insert(data);
  }
  return bytes + BytesOfCachedConstants(buffers);
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

bool SharedSession::Keeps(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return shared_.count(key) > 0;
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
    has_views_ = true;  // one of its results may be a weight
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
  std::shared_ptr<tf::Session> session;
  Executors executors;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.store(State::kClosed, std::memory_order_release);
    in_use_ = false;  // so that session() looks at the state
    threads = std::move(threads_);
    devices = std::move(devices_);
    weights.swap(prepared.saved);
    session = std::move(session_);
    executors.swap(executors_);
    shared_.clear();
    graph_ = nullptr;
  }
  executors.clear();
  prepared.constants.Clear();
  prepared.stateful_kernels.Clear();
  if (session == nullptr) return;
  session->Close().IgnoreError();
  FreeVariables(*session, index_);
}

}  // namespace savedmodel::engine
