// SPDX-License-Identifier: Apache-2.0
// Tests that need a separate process: usage is `child COMMAND MODEL [ARGUMENT]`. Results go to stdout; so do
// an Error's code and message, and the process then exits with 3.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "savedmodel/savedmodel.h"

namespace {

using savedmodel::Error;
using savedmodel::Model;
using savedmodel::Tensor;
using savedmodel::Watched;

// x + y for the model `add`.
std::string Add(const Model& model) {
  const float x = 1.5F;
  const float y = 2.25F;
  const auto tensor = [](const float* value) {
    return Tensor::Copy(savedmodel::DType::kFloat32, {1}, value);
  };
  const std::vector<Tensor> inputs{tensor(&x), tensor(&y)};
  const Tensor z = model.function("serving_default").Run(inputs).at(0);
  return std::to_string(z.data<float>()[0]);
}

template <typename F>
std::string Outcome(F&& call) {
  try {
    return call();
  } catch (const Error& error) {
    return std::string(savedmodel::CodeName(error.code())) + ": " + error.what();
  }
}

int Run(const std::string& path) {
  std::cout << "before: '" << savedmodel::TensorFlowVersion() << "'\n";
  std::cout << Add(Model::Load(path)) << "\n";
  std::cout << "after: '" << savedmodel::TensorFlowVersion() << "'\n";
  return 0;
}

int Log(const std::string& path) {
  std::mutex mutex;
  savedmodel::SetLogHandler([&mutex](const savedmodel::LogRecord& record) {
    std::lock_guard<std::mutex> lock(mutex);
    std::cout << "log " << record.severity << " " << record.file << ":" << record.line << " "
              << record.message << "\n";
  });
  savedmodel::LoadOptions options;
  options.session.log_device_placement = true;
  const std::string result = Add(Model::Load(path, options));
  savedmodel::SetLogHandler(nullptr);
  std::cout << result << "\n";
  return 0;
}

// Static, so that it exists until the process has left main().
int KeepLoaded(const std::string& path) {
  static const Model model = Model::Load(path);
  std::cout << Add(model) << "\n";
  return 0;
}

// A forked child prints its result, then exits in its own way.
template <typename F>
int Fork(const std::string& how, F&& in_child) {
  std::cout.flush();
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    in_child();
    std::cout.flush();
    if (how == "_exit") _exit(0);
    std::exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  std::cout << "child status: " << status << "\n";
  return 0;
}

int ForkAfterLoad(const std::string& path, const std::string& how) {
  static const Model kept = Model::Load(path);  // the child's exit destroys it too
  Model model = kept;
  const savedmodel::Function function = model.function("serving_default");
  const std::vector<Tensor> inputs(2, Tensor::Empty(savedmodel::DType::kFloat32, {1}));
  Fork(how, [&] {
    const auto run = [&] { return std::to_string(function.Run(inputs).size()); };
    std::cout << "run: " << Outcome(run) << "\n";
    std::cout << "load: " << Outcome([&] { return Add(Model::Load(path)); }) << "\n";
    std::cout << "bind: " << Outcome([&] { return Add(model); }) << "\n";
    model.Close();
    std::cout << "closed: " << model.closed() << "\n";
  });
  std::cout << "parent: " << Add(model) << "\n";
  model.Close();
  return 0;
}

// The child may exit, or destroy its model, without waiting for a thread that it does not have.
int ForkWhileWatching(const std::string& path, const std::string& how) {
  static Watched watched = Watched::Start(path);
  // AddressSanitizer's allocator has no fork handler, and is locked while a thread starts.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  Fork(how, [&] {
    std::cout << "run: " << Outcome([&] { return Add(watched.model()); }) << "\n";
    watched = Watched();
  });
  std::cout << "parent: " << Add(watched.model()) << "\n";
  return 0;
}

// The same before TensorFlow has been opened.
int ForkWhileWaiting(const std::string& path, const std::string& how) {
  savedmodel::WatchOptions options;
  options.required = false;
  static Watched watched = Watched::Start(path, options);
  Fork(how, [&] {
    std::cout << "run: " << Outcome([&] { return Add(watched.model()); }) << "\n";
    watched = Watched();
  });
  return 0;
}

int ForkBeforeLoad(const std::string& path, const std::string& how) {
  Fork(how, [&] { std::cout << "load: " << Outcome([&] { return Add(Model::Load(path)); }) << "\n"; });
  std::cout << "parent: " << Add(Model::Load(path)) << "\n";
  return 0;
}

// A server may inspect its models, fork its workers, and load in them.
int ForkAfterInspect(const std::string& path, const std::string& how) {
  (void)savedmodel::Inspect(path);
  return ForkBeforeLoad(path, how);
}

Tensor Forever() {
  const std::int32_t steps = 2147483647;
  return Tensor::Copy(savedmodel::DType::kInt32, {}, &steps);
}

// A pool whose threads block before they do anything.
class Stuck : public savedmodel::ThreadPool {
 public:
  void Schedule(std::function<void()> task) override {
    static auto* tasks = new std::vector<std::function<void()>>;
    static auto* mutex = new std::mutex;
    const std::lock_guard<std::mutex> lock(*mutex);
    tasks->push_back(std::move(task));
  }
  int NumThreads() const override { return 2; }
  int CurrentThreadId() const override { return -1; }
};

// Nothing catches what a run would throw now, and static variables are destroyed while it runs.
int ExitWhileRunning(const std::string& path, const std::string& how) {
  static savedmodel::LoadOptions options;
  if (how == "stuck") options.thread_pool = std::make_shared<Stuck>();
  static const Model model = Model::Load(path, options);
  static const savedmodel::Function function = model.function("serving_default");
  static const Tensor input =
      how == "stuck" ? Tensor::Empty(savedmodel::DType::kFloat32, {4096, 64}) : Forever();
  const auto run = [] {
    for (;;) function.Run({input});
  };
  if (how == "async") {
    for (int i = 0; i < 20; ++i) {
      function.RunAsync({input}, [](const Error* error, const std::vector<Tensor>&) {
        if (error == nullptr || error->code() != savedmodel::Code::kCancelled) std::abort();
      });
    }
  } else if (how == "load") {
    std::thread([path] {
      for (;;) (void)Model::Load(path);
    }).detach();
  } else {
    for (int i = 0; i < 3; ++i) std::thread(run).detach();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::cout << "exits";
  if (how == "callback") {
    function.RunAsync({}, [](const Error*, const std::vector<Tensor>&) { std::exit(5); });
    for (;;) pause();
  }
  if (how == "return") return 5;
  std::exit(5);
}

int Dispatch(const std::string& command, const std::string& path, const std::string& argument) {
  if (command == "run") return Run(path);
  if (command == "log") return Log(path);
  if (command == "keep_loaded") return KeepLoaded(path);
  if (command == "exit_while_running") return ExitWhileRunning(path, argument);
  if (command == "fork_after_load") return ForkAfterLoad(path, argument);
  if (command == "fork_while_watching") return ForkWhileWatching(path, argument);
  if (command == "fork_while_waiting") return ForkWhileWaiting(path, argument);
  if (command == "fork_before_load") return ForkBeforeLoad(path, argument);
  if (command == "fork_after_inspect") return ForkAfterInspect(path, argument);
  if (command == "directory") {
    savedmodel::SetTensorFlowDirectory(argument);
    return Run(path);
  }
  std::cerr << "no such command: " << command << "\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    return Dispatch(argv[1], argv[2], argc > 3 ? argv[3] : "");
  } catch (const Error& error) {
    std::cout << savedmodel::CodeName(error.code()) << ": " << error.what() << "\n";
    return 3;
  }
}
