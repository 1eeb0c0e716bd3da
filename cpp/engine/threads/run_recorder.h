// SPDX-License-Identifier: Apache-2.0
// Records which kernels a traced run computed, when, and in which threads. Independent of TensorFlow.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace savedmodel::engine {

// Of a run in the thread that makes it, for as long as it lives.
class RunRecorder {
 public:
  using Task = std::function<void()>;
  struct Event {
    const std::string* node;
    const std::string* op;
    std::uint32_t thread;
    std::int64_t begin_ns, end_ns;  // since the epoch
    bool part;                      // done by another thread for a kernel of the run
  };

  RunRecorder();
  ~RunRecorder();
  RunRecorder(const RunRecorder&) = delete;
  RunRecorder& operator=(const RunRecorder&) = delete;

  // The calling thread's, or null.
  static RunRecorder* OfThread() {
    // Nearly always there is none, and a thread's own variable costs a call.
    return recorders_.load(std::memory_order_relaxed) == 0 ? nullptr : of_thread_;
  }

  // Begin and End are called in the run's own thread. A kernel's time reaches from the end of the one before
  // to its own, so that it includes what it takes to start it and to free what it leaves. `node` and `op`
  // must outlive the recorder.
  void Start();  // the first kernel is next; forgets those of a run that failed
  void Begin(const std::string& node, const std::string& op);
  void End(const std::string& node, const std::string& op);
  // A copy that lives as long as the recorder.
  const std::string& Keep(const std::string& name);
  // The same task, which also records its time if another thread runs it. It must end before the run does.
  Task Wrap(Task task);

  std::int64_t begin_ns() const { return begin_ns_; }
  // No thread may be recording.
  const std::vector<Event>& events() const { return events_; }
  static std::int64_t NowNs();

 private:
  static std::atomic<int> recorders_;
  static thread_local RunRecorder* of_thread_;
  RunRecorder* const outer_;
  const std::uint32_t thread_;
  const std::int64_t begin_ns_;
  std::int64_t last_ns_;
  std::mutex mutex_;
  const std::string* node_ = nullptr;  // guarded by the mutex, as what follows
  const std::string* op_ = nullptr;
  std::vector<Event> events_;
  std::deque<std::string> names_;
};

}  // namespace savedmodel::engine
