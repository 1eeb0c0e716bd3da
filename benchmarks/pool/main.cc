// Times parallel regions of this project's pool and of Eigen's, which is TensorFlow's own.
// pool NAME THREADS CALLERS CHUNK_NS SECONDS: one JSON line on stdout.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/threads/fork_join.h"
#include "unsupported/Eigen/CXX11/ThreadPool"

namespace {

using Clock = std::chrono::steady_clock;
using Task = std::function<void()>;
using Chunk = std::function<void(int)>;

std::int64_t Nanoseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

// Work that takes core time, and not the time of the clock: a thread that has no core gets nothing done.
void Compute(std::int64_t steps) {
  std::uint64_t value = 1;
  for (std::int64_t i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1;
    asm volatile("" : "+r"(value));
  }
}

double StepsPerNanosecond() {
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const auto begin = Clock::now();
    Compute(100'000);
    best = std::max(best, 100'000.0 / static_cast<double>(Nanoseconds(Clock::now() - begin)));
  }
  return best;
}

// A pool that runs regions: chunks 0 to n - 1, and returns when all are done.
class Pool {
 public:
  virtual ~Pool() = default;
  virtual void Region(int chunks, const Chunk& chunk) = 0;
};

class Ours : public Pool {
 public:
  explicit Ours(int threads) : pool_(MakeOptions(threads)) {}
  void Region(int chunks, const Chunk& chunk) override {
    pool_.Run([&] { Divide(0, chunks, chunk); });
  }

 private:
  static savedmodel::engine::ForkJoin::Options MakeOptions(int threads) {
    savedmodel::engine::ForkJoin::Options options;
    options.threads = threads;
    return options;
  }
  void Divide(int first, int last, const Chunk& chunk) {
    while (last - first > 1) {
      const int middle = first + (last - first) / 2;
      pool_.Fork([this, middle, last, &chunk] { Divide(middle, last, chunk); }, middle);
      last = middle;
    }
    chunk(first);
  }
  savedmodel::engine::ForkJoin pool_;
};

// The root goes to a worker and the caller sleeps, as TensorFlow's adaptor for oneDNN has it.
class Eigens : public Pool {
 public:
  explicit Eigens(int threads) : pool_(threads) {}
  void Region(int chunks, const Chunk& chunk) override {
    Eigen::Barrier left(static_cast<unsigned>(chunks));
    pool_.ScheduleWithHint([&] { Divide(0, chunks, chunk, left); }, 0, 1);
    left.Wait();
  }

 private:
  void Divide(int first, int last, const Chunk& chunk, Eigen::Barrier& left) {
    while (last - first > 1) {
      const int middle = first + (last - first) / 2;
      pool_.ScheduleWithHint([this, middle, last, &chunk, &left] { Divide(middle, last, chunk, left); },
                             middle, middle + 1);
      last = middle;
    }
    chunk(first);
    left.Notify();
  }
  Eigen::ThreadPool pool_;
};

// No pool: every caller runs all chunks itself.
class Alone : public Pool {
 public:
  void Region(int chunks, const Chunk& chunk) override {
    for (int i = 0; i < chunks; ++i) chunk(i);
  }
};

std::unique_ptr<Pool> MakePool(const std::string& name, int threads) {
  if (name == "savedmodel") return std::make_unique<Ours>(threads);
  if (name == "eigen") return std::make_unique<Eigens>(threads);
  if (name == "alone") return std::make_unique<Alone>();
  throw std::runtime_error("no pool " + name);
}

int Run(const std::string& name, int threads, int callers, double chunk_ns, double seconds) {
  const std::unique_ptr<Pool> pool = MakePool(name, threads);
  const auto steps = static_cast<std::int64_t>(chunk_ns * StepsPerNanosecond());
  const Chunk chunk = [steps](int) { Compute(steps); };
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::vector<std::int64_t>> times(static_cast<std::size_t>(callers));
  std::vector<std::thread> running;
  for (int i = 0; i < callers; ++i) {
    running.emplace_back([&, mine = &times[static_cast<std::size_t>(i)]] {
      mine->reserve(1 << 20);
      for (int warm = 0; warm < 200; ++warm) pool->Region(threads, chunk);
      ++ready;
      while (ready < callers) std::this_thread::yield();
      while (!stop) {
        const auto begin = Clock::now();
        pool->Region(threads, chunk);
        mine->push_back(Nanoseconds(Clock::now() - begin));
      }
    });
  }
  while (ready < callers) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : running) thread.join();
  const double elapsed = static_cast<double>(Nanoseconds(Clock::now() - begin)) * 1e-9;

  std::vector<std::int64_t> all;
  for (const auto& mine : times) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) {
    return static_cast<double>(all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))]) /
           1000;
  };
  std::cout << "{\"p50_us\": " << at(0.5) << ", \"p99_us\": " << at(0.99) << ", \"min_us\": " << at(0)
            << ", \"regions_per_second\": " << static_cast<double>(all.size()) / elapsed << "}\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "pool NAME THREADS CALLERS CHUNK_NS SECONDS\n";
    return 2;
  }
  return Run(argv[1], std::stoi(argv[2]), std::stoi(argv[3]), std::stod(argv[4]), std::stod(argv[5]));
}
