// SPDX-License-Identifier: Apache-2.0
// A minimal thread pool of a service.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "savedmodel/thread_pool.h"

namespace savedmodel::testing {

class ServiceThreads : public ThreadPool {
 public:
  explicit ServiceThreads(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this, i] { Work(i); });
  }
  ~ServiceThreads() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void Schedule(std::function<void()> task) override {
    ++scheduled_;
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
    work_.notify_one();
  }
  int NumThreads() const override { return static_cast<int>(threads_.size()); }
  int CurrentThreadId() const override { return pool_ == this ? id_ : -1; }

  int scheduled() const { return scheduled_; }
  bool Owns(std::thread::id id) const {
    return std::any_of(threads_.begin(), threads_.end(), [id](const auto& t) { return t.get_id() == id; });
  }

 private:
  void Work(int id) {
    pool_ = this;
    id_ = id;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  static inline thread_local const ServiceThreads* pool_ = nullptr;
  static inline thread_local int id_ = -1;
  std::atomic<int> scheduled_{0};
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace savedmodel::testing
