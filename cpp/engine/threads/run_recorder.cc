// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/run_recorder.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace savedmodel::engine {
namespace {

std::uint32_t ThreadId() {
  thread_local const auto id = static_cast<std::uint32_t>(syscall(SYS_gettid));
  return id;
}

template <typename Clock>
std::int64_t Ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

}  // namespace

std::atomic<int> RunRecorder::recorders_{0};
thread_local RunRecorder* RunRecorder::of_thread_ = nullptr;

// The steady clock, which no one sets, counted from the epoch.
std::int64_t RunRecorder::NowNs() {
  static const std::int64_t epoch = Ns<std::chrono::system_clock>() - Ns<std::chrono::steady_clock>();
  return Ns<std::chrono::steady_clock>() + epoch;
}

RunRecorder::RunRecorder()
    : outer_(std::exchange(of_thread_, this)), thread_(ThreadId()), begin_ns_(NowNs()), last_ns_(begin_ns_) {
  ++recorders_;
}

RunRecorder::~RunRecorder() {
  of_thread_ = outer_;
  --recorders_;
}

void RunRecorder::Start() {
  const std::lock_guard<std::mutex> lock(mutex_);
  events_.clear();
  last_ns_ = NowNs();
}

void RunRecorder::Begin(const std::string& node, const std::string& op) {
  const std::lock_guard<std::mutex> lock(mutex_);
  node_ = &node;
  op_ = &op;
}

void RunRecorder::End(const std::string& node, const std::string& op) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::int64_t now = NowNs();
  events_.push_back({&node, &op, thread_, last_ns_, now, false});
  last_ns_ = now;
}

const std::string& RunRecorder::Keep(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return names_.emplace_back(name);
}

RunRecorder::Task RunRecorder::Wrap(Task task) {
  return [this, task = std::move(task)] {
    if (ThreadId() == thread_) return task();
    RunRecorder* const outer = std::exchange(of_thread_, this);
    Event event{nullptr, nullptr, ThreadId(), NowNs(), 0, true};
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      event.node = node_;
      event.op = op_;
    }
    task();
    event.end_ns = NowNs();
    of_thread_ = outer;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (event.node != nullptr) events_.push_back(event);
  };
}

}  // namespace savedmodel::engine
