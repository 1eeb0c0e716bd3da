// SPDX-License-Identifier: Apache-2.0
// Which requests make a batch, when it runs, and in which thread.
#include <algorithm>
#include <utility>

#include "core/batch/queue.h"
#include "core/shared_pool.h"

namespace savedmodel::internal {
namespace {

constexpr double kTiny = 8e-6;                       // seconds
constexpr std::size_t kTries = 32;                   // batches
constexpr std::size_t kTypicalBatch = 8;             // rows
constexpr std::chrono::milliseconds kTurn(10);       // models take turns in the pool
constexpr std::chrono::milliseconds kMaxTimer(100);  // then it looks whether the model is being closed

std::chrono::steady_clock::duration Ticks(std::chrono::duration<double> seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
}

}  // namespace

// Keeps the queue until the hold ends: nobody else may have it any more.
struct BatchQueue::HoldTimer : WaitingCall {
  explicit HoldTimer(std::shared_ptr<BatchQueue> held) : queue(std::move(held)) {}
  void EndEarly() noexcept override { queue->HoldEnds(); }
  const std::shared_ptr<BatchQueue> queue;
};

// A task of the pool. One that is destroyed before it runs ends the requests that rely on it.
struct BatchQueue::PoolWork : PoolTask {
  explicit PoolWork(std::shared_ptr<BatchQueue> worked) : queue(std::move(worked)) {}
  ~PoolWork() override {
    if (queue != nullptr) queue->Dropped();
  }
  PoolWork(const PoolWork&) = delete;
  PoolWork& operator=(const PoolWork&) = delete;
  void Run() noexcept override {
    const auto works = std::move(queue);
    works->Work();
  }
  std::shared_ptr<BatchQueue> queue;
};

// A model that is being closed waits for nobody.
BatchQueue::Clock::time_point BatchQueue::HeldUntil() const {
  if (queue_.empty() || closed_ || !(options_.max_delay.count() > 0)) return Clock::time_point::min();
  const BatchRequest& head = *queue_.front();
  const std::size_t limit = LimitOf(head);
  const bool waits = head.rows > 0 && head.taken == 0 && Joinable(limit) < limit &&
                     !head.target->function->model->gate.closed();
  return waits ? head.arrived + Ticks(options_.max_delay) : Clock::time_point::min();
}

bool BatchQueue::MayRun() const {
  if (queue_.empty() || Full()) return false;
  const Clock::time_point held = HeldUntil();
  return held == Clock::time_point::min() || held <= Clock::now();
}

// A request is parted only where a size is asked for.
std::size_t BatchQueue::LimitOf(const BatchRequest& head) const {
  if (const auto fixed = head.target->layout.fixed_rows()) return std::max<std::size_t>(*fixed, 1);
  const bool is_given = options_.max_batch_size > 0 || !options_.pad_to.empty();
  return is_given ? limit_ : std::max(limit_, head.rows);
}

// The rows of the first request and of those that can join it.
std::size_t BatchQueue::Joinable(std::size_t limit) const {
  const BatchRequest& head = *queue_.front();
  std::size_t rows = head.rows - head.taken;
  for (auto next = std::next(queue_.begin()); next != queue_.end() && rows < limit; ++next) {
    const BatchRequest& other = **next;
    if (other.rows == 0 || other.target != head.target || other.rows > limit - rows) continue;
    if (head.target->layout.CanJoin(head.inputs, other.inputs)) rows += other.rows;
  }
  return std::min(rows, limit);
}

void BatchQueue::TakePart(BatchRequest& request, std::size_t rows, Clock::time_point now, Batch* batch) {
  batch->parts.push_back({request.shared_from_this(), request.taken, request.taken + rows});
  batch->rows += rows;
  request.splits |= rows < request.rows;
  request.taken += rows;
  ++request.in_use;
  statistics_.queue_seconds += std::chrono::duration<double>(now - request.arrived).count();
  if (request.taken < request.rows) return;
  Remove(request);
}

Batch BatchQueue::Take() {
  Batch batch;
  const Request head = queue_.front();
  const Clock::time_point now = Clock::now();
  const std::size_t left = head->rows - head->taken, limit = LimitOf(*head);
  if (left >= limit || head->rows == 0 || head->taken > 0) {
    TakePart(*head, std::min(left, limit), now, &batch);
    return batch;
  }
  const std::size_t joinable = Joinable(limit);
  const bool asked_for = options_.max_delay.count() > 0;
  std::size_t wanted = asked_for ? joinable : cost_.Best(joinable);
  // What the sizes next to the best one cost may have changed.
  if (!asked_for && ++taken_ % kTries == 0)
    wanted = taken_ / kTries % 2 == 0 ? wanted / 2 : std::min(2 * wanted, joinable);
  wanted = std::max(wanted, left);
  for (auto next = queue_.begin(); next != queue_.end() && batch.rows < wanted;) {
    BatchRequest& request = **next++;
    const bool joins =
        &request == head.get() ||
        (request.rows > 0 && request.taken == 0 && request.target == head->target &&
         request.rows <= wanted - batch.rows && head->target->layout.CanJoin(head->inputs, request.inputs));
    if (joins) TakePart(request, request.rows, now, &batch);
  }
  return batch;
}

void BatchQueue::Lead(Lock* lock, const BatchRequest* own) {
  Batch batch = Take();
  batch.counts = true;
  ++running_;
  Dispatch(lock);
  lock->unlock();
  RunBatch(std::move(batch), own);
  lock->lock();
}

// One pool task at a time is asked for; it asks for the next when it has taken its batch.
void BatchQueue::Dispatch(Lock* lock) {
  if (queue_.empty() || Full()) return;
  if (!MayRun()) {
    if (hold_timer_ != nullptr) return;
    hold_timer_ = std::make_shared<HoldTimer>(shared_from_this());
    try {
      Watch(NewWaitingId(), hold_timer_, std::min(HeldUntil(), Clock::now() + kMaxTimer));
    } catch (const Error&) {  // no thread can be started: those that wait look by themselves
      hold_timer_ = nullptr;
    }
    return;
  }
  if (std::exchange(posted_, true)) return;
  posted_at_ = Clock::now();
  std::shared_ptr<ModelState> model = queue_.front()->target->function->model;
  lock->unlock();
  std::shared_ptr<PoolWork> work;
  try {
    work = std::make_shared<PoolWork>(shared_from_this());
    if (ThreadPool* pool = model->options.thread_pool.get(); pool != nullptr) {
      pool->Schedule([task = work] { task->Run(); });
    } else {
      model->queue.Push(work);
    }
  } catch (const std::exception&) {
    if (work == nullptr) Dropped();
  }
  work.reset();  // if it was not taken, it ends the requests
  model.reset();
  lock->lock();
}

void BatchQueue::HoldEnds() {
  Lock lock(mutex_);
  hold_timer_ = nullptr;  // the caller has it
  Dispatch(&lock);
}

void BatchQueue::Work() {
  Lock lock(mutex_);
  posted_ = false;
  const Clock::time_point turn_ends = Clock::now() + kTurn;
  while (MayRun() && Clock::now() < turn_ends) Lead(&lock, nullptr);
  Dispatch(&lock);
}

void BatchQueue::Dropped() {
  std::vector<Request> dropped;  // destroyed without the lock
  Lock lock(mutex_);
  posted_ = false;
  while (!queue_.empty()) {
    const Request request = queue_.front();
    Remove(*request);
    const std::string why = request->target->function->label + ": the thread pool dropped the call";
    auto error = std::make_exception_ptr(Error(Code::kUnavailable, why));
    if (request->in_use > 0) {
      request->failure = std::move(error);
    } else if (End(*request, std::move(error))) {
      dropped.push_back(request);
    }
  }
  CallBack(&lock, dropped);
  Dispatch(&lock);
}

void BatchQueue::Learn(std::size_t rows, double seconds) {
  cost_.Learn(rows, seconds);
  saving_.store(cost_.Saving(kTypicalBatch), std::memory_order_relaxed);
  is_tiny_ = cost_.Seconds(1) < kTiny;
}

}  // namespace savedmodel::internal
