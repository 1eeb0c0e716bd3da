// SPDX-License-Identifier: Apache-2.0
#include "core/runtime.h"

#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>

#include "core/open_tensorflow.h"
#include "core/with_errors.h"
#include "savedmodel/error.h"
#include "savedmodel/version.h"

#ifndef SAVEDMODEL_TF_REQUIRED
#error "the build sets SAVEDMODEL_TF_REQUIRED (such as \"2.21\")"
#endif

namespace savedmodel {
namespace internal {
namespace {

std::atomic<std::uint32_t> fork_generation{0};
std::atomic<std::uint32_t> threads_generation{0};
std::atomic<bool> threads_started{false};

struct Runtime {
  std::mutex mutex;
  std::string hint;
  Engine* engine = nullptr;
  std::string version;
  std::mutex log_mutex;
  LogHandler log_handler;
};

// Never destroyed: TensorFlow's threads may log while the process exits.
Runtime& GetRuntime() {
  static Runtime* runtime = new Runtime;
  return *runtime;
}

void ForwardLog(const LogRecord& record) {
  Runtime& runtime = GetRuntime();
  LogHandler handler;
  {
    std::lock_guard<std::mutex> lock(runtime.log_mutex);
    handler = runtime.log_handler;
  }
  if (handler) handler(record);
}

Engine* OpenEngine(Runtime& runtime) {
  const OpenedTensorFlow opened = OpenTensorFlowLibraries(runtime.hint);
  for (const std::string& line : opened.written) {
    ForwardLog({0, "libtensorflow_framework", 0, line});
    const std::size_t severity = std::string("IWEF").find(line.empty() ? 'I' : line[0]);
    if (severity != std::string::npos && static_cast<int>(severity) >= opened.stderr_level)
      std::fprintf(stderr, "%s\n", line.c_str());
  }
  runtime.version = opened.version;
  return opened.open_engine(&ForwardLog, opened.stderr_level);
}

}  // namespace

Engine& GetEngine() {
  Runtime& runtime = GetRuntime();
  CheckUsableAfterFork();
  std::lock_guard<std::mutex> lock(runtime.mutex);
  if (runtime.engine == nullptr) {
    CountForks();
    runtime.engine = OpenEngine(runtime);
  }
  return *runtime.engine;
}

void CountForks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++fork_generation; });
  if (registered != 0) throw Error(Code::kInternal, "pthread_atfork failed");
}

std::uint32_t ForkGeneration() { return fork_generation.load(std::memory_order_relaxed); }

void MarkThreadsStarted() {
  threads_generation = ForkGeneration();
  threads_started = true;
}

void CheckUsableAfterFork() {
  if (threads_started && threads_generation != ForkGeneration()) {
    throw Error(
        Code::kFailedPrecondition,
        "this process was forked after a SavedModel was loaded, and TensorFlow's threads do not run in "
        "the child: load in the child only, after the fork, or start processes with 'spawn'");
  }
}

}  // namespace internal

using internal::Subject;
using internal::WithErrors;

const char* Version() { return SAVEDMODEL_VERSION; }
const char* RequiredTensorFlowVersion() { return SAVEDMODEL_TF_REQUIRED; }

void SetTensorFlowDirectory(const std::string& path) {
  WithErrors("TensorFlow's directory", [&] {
    std::lock_guard<std::mutex> lock(internal::GetRuntime().mutex);
    internal::GetRuntime().hint = path;
  });
}

void OpenTensorFlow() {
  WithErrors("TensorFlow", [] { internal::GetEngine(); });
}

std::string TensorFlowVersion() {
  return WithErrors("TensorFlow's version", [] {
    std::lock_guard<std::mutex> lock(internal::GetRuntime().mutex);
    return internal::GetRuntime().version;
  });
}

void SetLogHandler(std::function<void(const LogRecord&)> handler) {
  WithErrors("a log handler", [&] {
    std::lock_guard<std::mutex> lock(internal::GetRuntime().log_mutex);
    internal::GetRuntime().log_handler = std::move(handler);
  });
}

Inspection Inspect(const std::string& path) {
  return WithErrors(Subject::Quoted(path), [&] { return internal::GetEngine().Inspect(path); });
}

std::vector<std::string> RegisteredOps() {
  return WithErrors("the registered ops", [] { return internal::GetEngine().RegisteredOps(); });
}

std::string ParseSessionConfig(const std::string& text) {
  return WithErrors("a session's config", [&] { return internal::GetEngine().ParseSessionConfig(text); });
}

}  // namespace savedmodel
