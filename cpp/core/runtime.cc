// SPDX-License-Identifier: Apache-2.0
#include "core/runtime.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "core/with_errors.h"
#include "savedmodel/error.h"
#include "savedmodel/version.h"

#ifndef SAVEDMODEL_TF_REQUIRED
#error "the build sets SAVEDMODEL_TF_REQUIRED (such as \"2.21\")"
#endif

namespace savedmodel {
namespace internal {
namespace {

constexpr char kFrameworkLibrary[] = "libtensorflow_framework.so.2";
constexpr char kRuntimeLibrary[] = "libtensorflow_cc.so.2";
constexpr char kEngineLibrary[] = "libsavedmodel_tensorflow.so";

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

std::string Directory(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string OwnDirectory() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&ForwardLog), &info) == 0 || info.dli_fname == nullptr) return ".";
  return Directory(info.dli_fname);
}

bool IsFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::string InstallHint() {
  return std::string("pip install 'tensorflow==") + SAVEDMODEL_TF_REQUIRED + ".*'";
}

std::string FindTensorFlow(const std::string& hint) {
  if (const char* chosen = std::getenv("SAVEDMODEL_TENSORFLOW_DIR"); chosen != nullptr && *chosen) {
    if (IsFile(std::string(chosen) + "/" + kFrameworkLibrary)) return chosen;
    throw Error(Code::kFailedPrecondition, "SAVEDMODEL_TENSORFLOW_DIR is '" + std::string(chosen) +
                                               "', which has no " + kFrameworkLibrary +
                                               "; it must name the 'tensorflow' folder of the wheel");
  }
  // The package layout is <site-packages>/savedmodel/lib.
  std::vector<std::string> candidates{hint, OwnDirectory() + "/../../tensorflow", SAVEDMODEL_TF_BUILT_WITH};
  for (const std::string& directory : candidates) {
    if (!directory.empty() && IsFile(directory + "/" + kFrameworkLibrary)) return directory;
  }
  throw Error(Code::kFailedPrecondition, std::string("savedmodel ") + Version() + " needs TensorFlow " +
                                             SAVEDMODEL_TF_REQUIRED +
                                             ", and none is installed; install it with: " + InstallHint());
}

// Holds what is written to file descriptor 2 while TensorFlow's static initialisers run: they write
// before any log setting can reach them.
class StderrCapture {
 public:
  StderrCapture() {
    saved_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (saved_ < 0) return;
    file_ = memfd_create("savedmodel-stderr", MFD_CLOEXEC);
    if (file_ >= 0) dup2(file_, STDERR_FILENO);
  }
  ~StderrCapture() {
    if (saved_ >= 0 && file_ >= 0) dup2(saved_, STDERR_FILENO);
    if (saved_ >= 0) close(saved_);
    if (file_ < 0) return;
    std::string text(static_cast<std::size_t>(std::max<off_t>(lseek(file_, 0, SEEK_END), 0)), '\0');
    const ssize_t size = pread(file_, text.data(), text.size(), 0);
    close(file_);
    if (size <= 0) return;
    std::istringstream lines(text.substr(0, static_cast<std::size_t>(size)));
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) ForwardLog({0, "libtensorflow_framework", 0, line});
    }
  }
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

 private:
  int saved_ = -1;
  int file_ = -1;
};

void* Open(const std::string& path, int flags) {
  void* handle = dlopen(path.c_str(), flags | RTLD_LOCAL | SAVEDMODEL_DEEPBIND);
  if (handle != nullptr) return handle;
  throw Error(Code::kFailedPrecondition,
              std::string("savedmodel ") + Version() + " was built for TensorFlow " + SAVEDMODEL_TF_REQUIRED +
                  " and cannot open it: " + dlerror() + "; install the matching one with: " + InstallHint());
}

std::string MajorMinor(const std::string& version) {
  const auto dot = version.find('.');
  return version.substr(0, version.find('.', dot == std::string::npos ? dot : dot + 1));
}

// Where the TensorFlow is that is in the process already, or empty. A second one is never opened.
std::string PresentTensorFlow() {
  void* handle = dlopen(kFrameworkLibrary, RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return "";
  return Directory(map->l_name);
}

Engine* OpenEngine(Runtime& runtime) {
  std::string directory = PresentTensorFlow();
  // Its logging is then its owner's business.
  const bool present = !directory.empty();
  if (!present) directory = FindTensorFlow(runtime.hint);
  const bool log_level_chosen = std::getenv("TF_CPP_MIN_LOG_LEVEL") != nullptr;
  {
    std::unique_ptr<StderrCapture> capture;
    if (!present && !log_level_chosen) capture = std::make_unique<StderrCapture>();
    Open(directory + "/" + kFrameworkLibrary, RTLD_LAZY);
  }
  // Lazily bound: most of its 300,000 relocations are never used.
  void* tensorflow = Open(directory + "/" + kRuntimeLibrary, RTLD_LAZY);
  auto version = reinterpret_cast<const char* (*)()>(dlsym(tensorflow, "TF_Version"));
  const std::string found = version == nullptr ? "unknown" : version();
  if (MajorMinor(found) != SAVEDMODEL_TF_REQUIRED) {
    throw Error(Code::kFailedPrecondition, std::string("savedmodel ") + Version() +
                                               " was built for TensorFlow " + SAVEDMODEL_TF_REQUIRED +
                                               ", and the one found is " + found + " (" + directory +
                                               "); install the matching one with: " + InstallHint());
  }
  void* library = Open(OwnDirectory() + "/" + kEngineLibrary, RTLD_NOW);
  auto open = reinterpret_cast<OpenEngineFn>(dlsym(library, kOpenEngineSymbol));
  if (open == nullptr)
    throw Error(Code::kInternal, std::string(kEngineLibrary) + " is not ours: " + dlerror());
  runtime.version = found;
  return open(&ForwardLog, !present && !log_level_chosen);
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
        "this process was forked after a SavedModel had been loaded, and TensorFlow's threads did not "
        "come along: load in the child only, after the fork, or start processes with 'spawn'");
  }
}

}  // namespace internal

const char* Version() { return SAVEDMODEL_VERSION; }
const char* RequiredTensorFlowVersion() { return SAVEDMODEL_TF_REQUIRED; }

void SetTensorFlowDirectory(const std::string& path) {
  std::lock_guard<std::mutex> lock(internal::GetRuntime().mutex);
  internal::GetRuntime().hint = path;
}

void OpenTensorFlow() { internal::GetEngine(); }

std::string TensorFlowVersion() {
  std::lock_guard<std::mutex> lock(internal::GetRuntime().mutex);
  return internal::GetRuntime().version;
}

void SetLogHandler(std::function<void(const LogRecord&)> handler) {
  std::lock_guard<std::mutex> lock(internal::GetRuntime().log_mutex);
  internal::GetRuntime().log_handler = std::move(handler);
}

Inspection Inspect(const std::string& path) {
  return internal::WithErrors("'" + path + "'", [&] { return internal::GetEngine().Inspect(path); });
}

std::vector<std::string> RegisteredOps() { return internal::GetEngine().RegisteredOps(); }

std::string ParseSessionConfig(const std::string& text) {
  return internal::GetEngine().ParseSessionConfig(text);
}

}  // namespace savedmodel
