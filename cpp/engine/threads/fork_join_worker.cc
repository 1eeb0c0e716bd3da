// SPDX-License-Identifier: Apache-2.0
// The workers' side: how they find tasks, spin, sleep and are woken.
#include "engine/threads/fork_join_worker.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/threads/wait.h"

namespace savedmodel::engine {
namespace {

constexpr int kPausesPerLook = 32;            // about a microsecond
constexpr int kMaxRegions = 64;               // further callers work alone
constexpr int kBitsPerWord = 64;              // of the set of sleeping workers
constexpr std::size_t kProbes = 4;            // number of spinning workers to look for
constexpr std::int64_t kShortSpinNs = 5'000;  // while other processes want the core

std::uint64_t Bit(int id) { return std::uint64_t{1} << (id % kBitsPerWord); }

std::size_t NextStart() {
  thread_local std::size_t start = 0;
  return start++;
}

}  // namespace

ForkJoin::ForkJoin(Options options)
    : options_(std::move(options)),
      process_(getpid()),
      running_(std::make_unique<std::vector<std::thread>>()),
      startable_(options_.threads),
      governor_(options_.threads - 1) {
  // Sanitizers do not see the queue of TensorFlow's threads, which may call Start(); the lock shows them the
  // order.
  const std::lock_guard<std::mutex> lock(starting_);
}

void ForkJoin::MakeRoom() {
  const int threads = options_.threads;
  asleep_ = std::make_unique<std::atomic<std::uint64_t>[]>(
      static_cast<std::size_t>((threads + kBitsPerWord - 1) / kBitsPerWord));
  // One worker more than regions use, because the caller runs no loose tasks.
  for (int i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(i));
  for (int i = 1; i < std::min(threads, kMaxRegions + 1); ++i)
    regions_.push_back(std::make_unique<Region>(i, threads));
}

int ForkJoin::Start(int wanted) {
  const std::lock_guard<std::mutex> lock(starting_);
  if (workers_.empty()) MakeRoom();
  wanted = std::min(wanted, startable_.load());
  try {
    while (static_cast<int>(running_->size()) < wanted) {
      running_->emplace_back([this, me = workers_[running_->size()].get()] {
        pthread_setname_np(pthread_self(), "savedmodel");
        const Task work = [this, me] { Work(*me); };
        options_.in_worker ? options_.in_worker(work) : work();
      });
    }
  } catch (const std::system_error&) {  // the system allows no more threads; use those started
    startable_ = static_cast<int>(running_->size());
  }
  started_.store(static_cast<int>(running_->size()), std::memory_order_release);
  return std::min(wanted, startable_.load());
}

ForkJoin::~ForkJoin() {
  if (getpid() != process_) {
    (void)running_.release();  // in a forked child, the threads are the parent's
    return;
  }
  Stop();
}

void ForkJoin::Stop() {
  stop_ = true;
  for (const std::unique_ptr<Worker>& worker : workers_) Wake(*worker);
  for (std::thread& thread : *running_) thread.join();
  running_->clear();
}

void ForkJoin::Schedule(Task task) {
  int workers = started_.load(std::memory_order_acquire);
  if (workers < startable_.load(std::memory_order_relaxed)) workers = Start(options_.threads);
  if (workers == 0) return task();
  const std::size_t count = workers_.size();
  const bool in_worker = here_.pool == this && !here_.in_region;
  Worker& worker = *workers_[in_worker ? static_cast<std::size_t>(here_.id) : NextStart() % count];
  {
    const std::lock_guard<std::mutex> lock(worker.mutex);
    worker.loose.push_back(std::move(task));
    worker.waiting.store(static_cast<int>(worker.loose.size()), std::memory_order_relaxed);
    loose_.fetch_add(1);
  }
  WakeForLoose();
}

// Notifies a spinning worker, or wakes a sleeping one. If all are busy, the first to finish will look.
void ForkJoin::WakeForLoose() {
  const std::size_t count = workers_.size();
  const std::size_t start = NextStart();
  for (std::size_t i = 0; i < std::min(kProbes, count); ++i) {
    Worker& worker = *workers_[(start + i) % count];
    std::uint64_t none = kNoMail;
    if (worker.spinning.load() && worker.mail.compare_exchange_strong(none, kLooseMail)) return;
  }
  const std::size_t words = (count + kBitsPerWord - 1) / kBitsPerWord;
  for (std::size_t word = 0; word < words; ++word) {
    for (std::uint64_t sleepers = asleep_[word].load(); sleepers != 0; sleepers &= sleepers - 1) {
      const auto bit = static_cast<std::size_t>(__builtin_ctzll(sleepers));
      if (Wake(*workers_[word * kBitsPerWord + bit])) return;
    }
  }
}

bool ForkJoin::Wake(Worker& worker) {
  if (worker.asleep.load() == 0 || worker.asleep.exchange(0) == 0) return false;
  FutexWakeOne(worker.asleep);
  return true;
}

bool ForkJoin::Post(Worker& worker, std::uint64_t mail) {
  std::uint64_t none = kNoMail;
  if (worker.mail.load(std::memory_order_relaxed) != kNoMail ||
      !worker.mail.compare_exchange_strong(none, mail)) {
    return false;
  }
  Wake(worker);
  return true;
}

bool ForkJoin::RunLoose(Worker& me) {
  const std::size_t count = workers_.size();
  for (std::size_t i = 0; i < count && loose_.load() > 0; ++i) {
    Worker& worker = *workers_[(static_cast<std::size_t>(me.id) + i) % count];
    if (worker.waiting.load(std::memory_order_relaxed) == 0) continue;
    Task task;
    {
      const std::lock_guard<std::mutex> lock(worker.mutex);
      if (worker.loose.empty()) continue;
      // Own tasks: the newest, whose data is in the cache. Another's: the oldest, the largest part of a
      // divided range.
      const bool own = &worker == &me;
      task = std::move(own ? worker.loose.back() : worker.loose.front());
      own ? worker.loose.pop_back() : worker.loose.pop_front();
      worker.waiting.store(static_cast<int>(worker.loose.size()), std::memory_order_relaxed);
      loose_.fetch_sub(1);
    }
    task();
    return true;
  }
  return false;
}

void ForkJoin::Work(Worker& me) {
  here_.pool = this;
  here_.id = me.id;
  me.lost.Restart(NowNs());
  for (;;) {
    const std::uint64_t mail = me.mail.load(std::memory_order_relaxed);
    if (mail != kNoMail) {
      me.mail.exchange(kNoMail, std::memory_order_acquire);
      Open(mail);
    }
    if (loose_.load() > 0 && RunLoose(me)) continue;
    if (me.mail.load(std::memory_order_relaxed) != kNoMail) continue;
    if (stop_.load()) return;
    if (!Spin(me)) Sleep(me);
  }
}

bool ForkJoin::Nothing(const Worker& me) const {
  return me.mail.load() == kNoMail && loose_.load() == 0 && !stop_.load();
}

bool ForkJoin::Spin(Worker& me) {
  me.spinning.store(true);
  const std::int64_t begin = NowNs();
  const std::int64_t spin_ns = governor_.mode() == Governor::kSleep ? kShortSpinNs : options_.spin_ns;
  bool found = !Nothing(me);
  for (std::int64_t now = begin; !found;) {
    const std::int64_t sample_ns = options_.yield_cores ? me.lost.Contended(now) : 0;
    if (sample_ns > 0 && callers_.load(std::memory_order_relaxed) < options_.threads) {
      governor_.Found(now, sample_ns);
    }
    if (now - begin >= spin_ns || me.id >= Width()) break;
    for (int i = 0; i < kPausesPerLook && !found; ++i) {
      found = me.mail.load(std::memory_order_relaxed) != kNoMail;
      Pause();
    }
    found = found || !Nothing(me);
    now = NowNs();
  }
  me.spinning.store(false);
  return found;
}

void ForkJoin::Sleep(Worker& me) {
  std::atomic<std::uint64_t>& sleepers = asleep_[static_cast<std::size_t>(me.id / kBitsPerWord)];
  me.asleep.store(1);
  sleepers.fetch_or(Bit(me.id));
  while (me.asleep.load() == 1 && Nothing(me)) FutexWait(me.asleep, 1);
  me.asleep.store(0);
  sleepers.fetch_and(~Bit(me.id));
  me.lost.Restart(NowNs());
}

}  // namespace savedmodel::engine
