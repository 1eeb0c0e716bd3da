// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

// Threads that run tasks in the order of their arrival.
class Workers {
 public:
  // `count` may be 0, for one on each CPU. `most_waiting`: tasks that wait for a thread.
  Workers(std::size_t count, std::size_t most_waiting) : most_waiting_(most_waiting) {
    if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
    while (threads_.size() < count) threads_.emplace_back([this] { Work(); });
  }
  ~Workers() {  // does what is waiting first
    for (std::size_t i = 0; i < threads_.size(); ++i) Post(nullptr);
    for (std::thread& thread : threads_) thread.join();
  }

  // False if too many are waiting.
  bool Post(std::function<void()> task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (task != nullptr && tasks_.size() >= most_waiting_) return false;
    tasks_.push_back(std::move(task));
    posted_.notify_one();
    return true;
  }

 private:
  void Work() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      posted_.wait(lock, [this] { return !tasks_.empty(); });
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      if (task == nullptr) return;
      task();
    }
  }

  const std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};
