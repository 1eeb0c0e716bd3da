// Callers in C++: `callers PATH MODEL THREADS [NAME SHAPE FILE]...`. Each FILE has one row after the other,
// one for each caller. Speaks the protocol of child.py: JSON lines on stdin and stdout.

#include <savedmodel/savedmodel.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace sm = savedmodel;
using Clock = std::chrono::steady_clock;
using Tensors = std::vector<sm::Tensor>;

constexpr std::size_t kCallers = 32;

double Since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

sm::Shape ParseShape(const std::string& text) {
  std::vector<std::int64_t> dims;
  std::istringstream sizes(text);
  for (std::string size; std::getline(sizes, size, 'x');) dims.push_back(std::stoll(size));
  return sm::Shape(dims);
}

// The rows of the callers.
Tensors ReadRows(sm::DType dtype, const sm::Shape& shape, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Tensors rows;
  for (std::size_t i = 0; i < kCallers; ++i) {
    if (dtype == sm::DType::kString) {
      std::vector<std::string> words(shape.num_elements());
      for (std::string& word : words) std::getline(file, word);
      rows.push_back(sm::Tensor::Strings(shape, words));
    } else {
      rows.push_back(sm::Tensor::Empty(dtype, shape));
      file.read(static_cast<char*>(rows.back().mutable_data()),
                static_cast<std::streamsize>(rows.back().byte_size()));
    }
    if (!file && !file.eof()) throw std::runtime_error("cannot read " + path);
  }
  return rows;
}

struct Callers {
  bool async = false, batched = false;
  sm::Function function;
  sm::Batcher batcher;
  std::vector<Tensors> rows;  // by caller

  Callers(const std::string& path, const std::string& folder, int threads,
          const std::vector<std::string>& inputs)
      : async(path.find("async") != std::string::npos), batched(path.find("batched") != std::string::npos) {
    sm::LoadOptions options;
    options.threads = threads;
    function = sm::Model::Load(folder, options).function("serving_default");
    rows.resize(kCallers);
    for (const sm::TensorSpec& spec : function.inputs()) {
      const auto at = std::find(inputs.begin(), inputs.end(), spec.key);
      const Tensors own = ReadRows(spec.dtype, ParseShape(*(at + 1)), *(at + 2));
      for (std::size_t i = 0; i < kCallers; ++i) rows[i].push_back(own[i]);
    }
    (void)function.Run(rows[0]);
    if (!batched) return;
    sm::BatchOptions batches;
    batches.sample = rows[0];
    batcher = sm::Batcher::Start(function, batches);
  }

  void Run(const Tensors& row) const {
    if (batched) {
      (void)batcher.Run(row);
    } else {
      (void)function.Run(row);
    }
  }
  void RunAsync(const Tensors& row, sm::Function::Callback done) const {
    if (batched) return batcher.RunAsync(row, std::move(done));
    function.RunAsync(row, std::move(done));
  }

  void Threads(std::size_t callers, Clock::time_point end,
               std::vector<std::vector<double>>* latencies) const {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < callers; ++i) {
      threads.emplace_back([this, i, end, own = &(*latencies)[i]] {
        for (auto begin = Clock::now(); begin < end;) {
          Run(rows[i]);
          const auto now = Clock::now();
          own->push_back(std::chrono::duration<double>(now - begin).count());
          begin = now;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Each request that ends starts the next one.
  void InFlight(std::size_t callers, Clock::time_point end,
                std::vector<std::vector<double>>* latencies) const {
    std::mutex mutex;
    std::condition_variable over;
    std::size_t left = callers;
    std::function<void(std::size_t)> start = [&](std::size_t i) {
      const auto begin = Clock::now();
      RunAsync(rows[i], [&, i, begin](const sm::Error* error, const Tensors&) {
        if (error != nullptr) std::terminate();
        const auto now = Clock::now();
        (*latencies)[i].push_back(std::chrono::duration<double>(now - begin).count());
        if (now < end) return start(i);
        const std::lock_guard<std::mutex> lock(mutex);
        if (--left == 0) over.notify_one();
      });
    };
    for (std::size_t i = 0; i < callers; ++i) start(i);
    std::unique_lock<std::mutex> lock(mutex);
    over.wait(lock, [&] { return left == 0; });
  }

  std::string Round(std::size_t callers, double seconds) const {
    std::vector<std::vector<double>> latencies(callers);
    const auto before = batched ? batcher.Statistics() : sm::BatchStatistics();
    const auto begin = Clock::now();
    const auto end =
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    if (async) {
      InFlight(callers, end, &latencies);
    } else {
      Threads(callers, end, &latencies);
    }
    const double elapsed = Since(begin);
    std::vector<double> all;
    for (const auto& own : latencies) all.insert(all.end(), own.begin(), own.end());
    std::sort(all.begin(), all.end());
    std::ostringstream text;
    text << "{\"calls\": " << all.size() << ", \"seconds\": " << elapsed
         << ", \"p50_us\": " << all[all.size() / 2] * 1e6
         << ", \"p99_us\": " << all[all.size() * 99 / 100] * 1e6;
    if (batched) {
      const auto after = batcher.Statistics();
      const double runs = std::max(1.0, static_cast<double>(after.batches - before.batches));
      text << ", \"rows_per_run\": " << static_cast<double>(after.rows - before.rows) / runs;
    }
    return text.str() + "}";
  }
};

// The messages are flat objects that our own parent writes, so a search is parser enough.
double Number(const std::string& message, const std::string& key) {
  const auto at = message.find('"' + key + "\":");
  if (at == std::string::npos) throw std::runtime_error("no field " + key);
  return std::stod(message.substr(at + key.size() + 3));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    const Callers callers(words.at(0), words.at(1), std::stoi(words.at(2)), {words.begin() + 3, words.end()});
    std::cout << "{\"ready\": true}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      const auto count = static_cast<std::size_t>(Number(line, "callers"));
      std::cout << callers.Round(count, Number(line, "seconds")) << std::endl;
    }
  } catch (const std::exception& error) {
    std::string text = error.what();
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '"' || c == '\\' || c == '\n'; }, ' ');
    std::cout << "{\"error\": \"" << text << "\"}" << std::endl;
    _exit(1);
  }
  _exit(0);
}
