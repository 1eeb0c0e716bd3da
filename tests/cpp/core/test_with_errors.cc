// SPDX-License-Identifier: Apache-2.0
// The public API without memory: whichever of its own allocations fails, a caller sees an OutOfMemory. Not
// failing here: TensorFlow's allocations, those made on its behalf, and protobuf messages inside the library.
#include <execinfo.h>
#include <link.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/savedmodel.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace {

constexpr int kDeep = 128;

thread_local bool armed = false;
bool once = false;    // else all later allocations fail, too
bool engine = false;  // whether the engine's allocations fail, too
int passes = 0;       // how many more allocations succeed
int failed = 0;

bool Starts(const char* name, const char* with) { return std::strncmp(name, with, std::strlen(with)) == 0; }

enum class Owner { kOther, kOurs, kEngine, kRuntime, kBetween, kTensorFlow };

// kBetween: the libraries that forward to the C++ runtime, and this program, which may contain templates of
// the standard library.
Owner OwnerOf(const char* path) {
  const char* slash = std::strrchr(path, '/');
  const char* name = slash == nullptr ? path : slash + 1;
  if (Starts(name, "libsavedmodel.so")) return Owner::kOurs;
  if (Starts(name, "libsavedmodel_tensorflow.so")) return Owner::kEngine;
  if (Starts(name, "libtensorflow")) return Owner::kTensorFlow;
  if (Starts(name, "libstdc++")) return Owner::kRuntime;
  return *name == '\0' || Starts(name, "libsavedmodel_") ? Owner::kBetween : Owner::kOther;
}

struct Code {
  std::uintptr_t begin, end;
  Owner owner;
};
Code code[1024];
std::size_t codes = 0;

int AddCode(dl_phdr_info* info, std::size_t, void*) {
  const Owner owner = OwnerOf(info->dlpi_name);
  for (int i = 0; owner != Owner::kOther && i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0 || codes == std::size(code)) continue;
    const std::uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    code[codes++] = {begin, begin + part.p_memsz, owner};
  }
  return 0;
}

void FindCode() {
  codes = 0;
  dl_iterate_phdr(AddCode, nullptr);
}

Owner OwnerOf(void* caller) {
  const auto address = reinterpret_cast<std::uintptr_t>(caller);
  for (std::size_t i = 0; i < codes; ++i) {
    if (address >= code[i].begin && address < code[i].end) return code[i].owner;
  }
  return Owner::kOther;
}

// True for an allocation of this library with operator new that TensorFlow does not wait for.
bool IsOurs() {
  void* callers[kDeep];
  int frame = 0;
  int frames = backtrace(callers, 8);
  while (frame < frames && OwnerOf(callers[frame]) == Owner::kBetween) ++frame;
  if (frame == frames || OwnerOf(callers[frame]) != Owner::kRuntime) return false;
  const auto between = [](Owner owner) { return owner == Owner::kBetween || owner == Owner::kRuntime; };
  while (frame < frames && between(OwnerOf(callers[frame]))) ++frame;
  if (frame == frames) return false;
  const Owner owner = OwnerOf(callers[frame]);
  if (owner != Owner::kOurs && (owner != Owner::kEngine || !engine)) return false;
  frames = backtrace(callers, kDeep);
  for (; frame < frames; ++frame) {
    if (OwnerOf(callers[frame]) == Owner::kTensorFlow) return false;
  }
  return true;
}

bool Fails() {
  if (!armed) return false;
  armed = false;
  const bool fails = IsOurs() && passes-- <= 0 && (!once || failed == 0);
  if (fails) ++failed;
  armed = true;
  return fails;
}

}  // namespace

extern "C" void* __libc_malloc(std::size_t size);  // NOLINT: glibc's own, behind malloc

// Replaces the C library's malloc for the program's libraries, including the C++ runtime.
extern "C" void* malloc(std::size_t size) { return Fails() ? nullptr : __libc_malloc(size); }

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::ModelPath;

class OutOfMemoryTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    void* first[4];
    backtrace(first, 4);  // makes its own allocations in advance
    once = GetParam();
  }
  // Includes the engine's allocations, except those for TensorFlow.
  template <typename Call>
  void ExpectInEngine(const char* what, const Call& call, const std::string& otherwise = "") {
    engine = true;
    Expect(what, call, otherwise);
    engine = false;
  }

  std::string Path(const std::string& name) const { return folder_.Path(name); }

  // Calls it with the first allocation failing, with the second, and so on in growing steps, until it
  // succeeds. `otherwise` is what it throws apart from that.
  template <typename Call>
  void Expect(const char* what, const Call& call, const std::string& otherwise = "") {
    SCOPED_TRACE(what);
    FindCode();
    int calls = 0;
    for (int before = 0;; before += 1 + before / 2) {
      passes = before;
      failed = 0;
      std::string error;
      bool known = true;
      try {
        armed = true;
        call();
        armed = false;
      } catch (const OutOfMemory&) {
        armed = false;
        error = failed > 0 ? "" : "out of memory";
      } catch (const Error& other) {
        armed = false;
        error = other.what();
      } catch (const std::exception& other) {
        armed = false;
        error = other.what();
        known = false;
      }
      if (failed == 0) {
        EXPECT_EQ(error.substr(0, otherwise.size()), otherwise);
        EXPECT_EQ(error.empty(), otherwise.empty()) << error;
        break;
      }
      ++calls;
      ASSERT_TRUE(known) << "allocation " << before << ": " << error;
      EXPECT_TRUE(error.empty() || (!otherwise.empty() && error.find(otherwise) == 0))
          << "allocation " << before << ": " << error;
    }
    EXPECT_GT(calls, 0) << "it allocates nothing";
  }

 private:
  const testing::TemporaryFolder folder_;
};

TEST_P(OutOfMemoryTest, Values) {
  const Shape nine({1, 1, 1, 1, 1, 1, 1, 1, 1});
  const std::vector<std::string> words{"a word that is too long for itself", "another"};
  const float data[1] = {1};
  TensorSpec spec;
  spec.dtype = DType::kFloat32;
  spec.shape = std::vector<std::int64_t>(20, -1);
  Expect("Tensor::Empty", [&] { (void)Tensor::Empty(DType::kFloat32, nine); });
  Expect("Tensor::Copy", [&] { (void)Tensor::Copy(DType::kFloat32, {1}, data); });
  Expect("Tensor::Wrap", [&] { (void)Tensor::Wrap(DType::kFloat32, {1}, data, [] {}); });
  Expect("Tensor::Strings", [&] { (void)Tensor::Strings({2}, words); });
  Expect(
      "another type", [&] { (void)Tensor::Empty(DType::kString, {1}); }, "a tensor of string");
  Expect(
      "no memory", [&] { (void)Tensor::Wrap(DType::kInt8, {1}, nullptr, nullptr); }, "a tensor with");
  Expect(
      "too few", [&] { (void)Tensor::Strings({3}, words); }, "2 strings do not fill");
  Expect(
      "a negative size", [] { (void)Shape({-1}).num_elements(); }, "[-1] is not a valid shape");
  Tensor tensor = Tensor::Wrap(DType::kFloat32, {1}, data, nullptr);
  Expect(
      "read as another", [&] { (void)tensor.data<int>(); }, "the tensor holds float32");
  Expect(
      "written", [&] { (void)tensor.mutable_data(); }, "this tensor is read-only");
  Expect("Shape::ToString", [&] { (void)nine.ToString(); });
  Expect("TensorSpec::ToString", [&] { (void)spec.ToString(); });
  Expect("Flatten", [&] { (void)Flatten({spec}); });
  Expect("OnCancel", [] { (void)Cancellation().OnCancel([] {}); });
  Expect(
      "an empty Tensor", [] { (void)Tensor().mutable_data(); }, "this Tensor is empty");
  Expect(
      "an empty Model", [] { (void)Model().path(); }, "this Model is empty");
  Expect(
      "an empty Function", [] { (void)Function().Counters(); }, "this Function is empty");
  Expect(
      "an empty Watched", [] { (void)Watched().status(); }, "this Watched is empty");
}

TEST_P(OutOfMemoryTest, Files) {
  OpenTensorFlow();
  const std::string path = ModelPath("weights");
  ExpectInEngine("RegisteredOps", [] { (void)RegisteredOps(); });
  ExpectInEngine(
      "a mistake", [] { (void)ParseSessionConfig("threads: 2"); }, "session config: not a ConfigProto");
  ExpectInEngine(
      "nothing there", [] { (void)Inspect("/nothing/is/here"); }, "no such directory");
  Edit edit(path);
  ExpectInEngine("Edit::signatures", [&] { (void)edit.signatures(); });
  ExpectInEngine(
      "an edit of nothing", [&] { edit.Apply(RemoveSignature{"lost"}); }, "no signature");
}

TEST_P(OutOfMemoryTest, Models) {
  OpenTensorFlow();
  const std::string path = ModelPath("weights");
  Expect("Load", [&] { (void)Model::Load(path); });
  ExpectInEngine(
      "no model", [] { (void)Model::Load("/nothing/is/here"); }, "no such directory");
  LoadOptions threads;
  threads.threads = -1;
  Expect(
      "options", [&] { (void)Model::Load(path, threads); }, "LoadOptions::threads");
  const Model model = LoadModel("weights");
  const Model object = LoadModel("functions");
  const std::string signature = model.signatures().begin()->first;
  Expect("Optimization", [&] { (void)model.Optimization(); });
  Expect("function", [&] { (void)model.function(signature); });
  Expect(
      "no signature", [&] { (void)model.function("lost"); }, "no signature 'lost'");
  Expect(
      "no output", [&] { (void)model.function(signature, {"lost"}); }, "signature '");
  const std::string name = model.function(signature).outputs().at(0).name;
  ExpectInEngine("tensors", [&] { (void)model.function({name}, {}); });
  Expect("saved_function", [&] { (void)object.saved_function("__call__"); });
  ExpectInEngine(
      "no function", [&] { (void)object.find_function("lost"); }, "no function 'lost'");
  Expect(
      "no trace", [&] { (void)object.saved_function("__call__", 99); }, "function '__call__' has");
  const SavedFunction call = object.find_function("__call__");
  Expect("Describe", [&] { (void)call.Describe(1); });
  const std::vector<Tensor> word{Tensor::Strings({1}, {"a"})};
  Expect(
      "no trace for it", [&] { (void)call.FindTrace(word); }, "function '__call__' has no trace");
  ExpectInEngine("devices", [&] { (void)model.devices(); });
  ExpectInEngine("Placement", [&] { (void)model.Placement(); });
  Expect("Counters", [&] { (void)model.Counters(); });
  Model closed = LoadModel("add");
  closed.Close();
  Expect(
      "closed", [&] { (void)closed.devices(); }, "the model '");
  Expect("CancelAllRuns", [] { (void)CancelAllRuns(Seconds(1)); });
}

TEST_P(OutOfMemoryTest, Runs) {
  const Model model = LoadModel("add");
  const Function function = model.function("serving_default");
  const std::vector<Tensor> inputs{Floats({1}), Floats({2})};
  const std::vector<Tensor> wrong{Floats({1}), testing::Int(2)};
  const Function::Named named{{function.inputs()[0].key, inputs[0]}, {function.inputs()[1].key, inputs[1]}};
  Expect("Run", [&] { (void)function.Run(inputs); });
  Expect("another size", [&] { (void)function.Run({Floats({1}), Floats({2, 3, 4})}); });
  RunOptions options;
  options.timeout = Seconds(10);
  Trace trace;
  Expect("Run, traced", [&] { (void)function.Run(inputs, options, &trace); });
  Expect("Run, by name", [&] { (void)function.Run(named); });
  Expect(
      "a wrong type", [&] { (void)function.Run(wrong); }, "signature 'serving_default', input");
  Expect(
      "too few", [&] { (void)function.Run({inputs[0]}); }, "signature 'serving_default' takes");
  options.timeout = Seconds(-1);
  Expect(
      "no time", [&] { (void)function.Run(inputs, options); }, "signature 'serving_default': no time");
  Expect("Counters", [&] { (void)function.Counters(); });
}

// Without the listing of folders: std::filesystem ends the process.
TEST_P(OutOfMemoryTest, Versions) {
  std::filesystem::create_directory(Path("model"));
  std::filesystem::create_directory_symlink(ModelPath("add"), Path("model/1"));
  const std::string directory = Path("model");
  WatchOptions options;
  options.poll = Seconds(0);
  Expect(
      "options", [&] { (void)Watched::Start(directory, options); }, "WatchOptions::poll");
  Watched watched = Watched::Start(directory);
  Expect(
      "no version", [&] { (void)watched.model(7); }, "version 7 of");
  Expect("status", [&] { (void)watched.status(); });
  watched.Refresh();
  EXPECT_EQ(watched.version(), 1);
}

// Keeps its tasks until they are requested.
class Later : public ThreadPool {
 public:
  void Schedule(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  int NumThreads() const override { return 1; }
  int CurrentThreadId() const override { return inside_ ? 0 : -1; }
  void Run() {
    inside_ = true;
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.back());
      tasks_.pop_back();
      task();
    }
    inside_ = false;
  }

 private:
  std::vector<std::function<void()>> tasks_;
  bool inside_ = false;
};

// A call that has begun ends in exactly one callback.
TEST_P(OutOfMemoryTest, AsynchronousRuns) {
  const auto pool = std::make_shared<Later>();
  LoadOptions options;
  options.thread_pool = pool;
  const Model model = LoadModel("add", options);
  const Function function = model.function("serving_default");
  const std::vector<Tensor> inputs{Floats({1}), Floats({2})};
  const std::vector<Tensor> wrong{Floats({1}), testing::Int(2)};
  const Function::Named named{{function.inputs()[0].key, inputs[0]}, {function.inputs()[1].key, inputs[1]}};
  const auto run = [&](const auto& given, const RunOptions& how) {
    std::atomic<int> calls{0};
    bool out_of_memory = false;
    std::string text;
    function.RunAsync(
        given,
        [&](const Error* error, const auto&) {
          const bool was = std::exchange(armed, false);
          out_of_memory = dynamic_cast<const OutOfMemory*>(error) != nullptr ||
                          (error != nullptr && failed > 0 && error->code() == Code::kUnavailable);
          if (error != nullptr) text = error->what();
          armed = was;
          ++calls;
        },
        how);
    pool->Run();
    armed = false;
    while (calls == 0) std::this_thread::yield();  // a late call ends in a thread of its own
    EXPECT_EQ(calls, 1);
    if (out_of_memory) throw OutOfMemory("");
    if (!text.empty()) throw Error(Code::kUnknown, text);
  };
  const RunOptions plain;
  RunOptions late;
  late.timeout = Seconds(1e-9);
  Expect("RunAsync", [&] { run(inputs, plain); });
  Expect("by name", [&] { run(named, plain); });
  Expect(
      "a wrong type", [&] { run(wrong, plain); }, "signature 'serving_default', input");
  Expect(
      "late", [&] { run(inputs, late); }, "signature 'serving_default'");
  Expect(
      "no callback", [&] { function.RunAsync(inputs, Function::Callback()); }, "RunAsync needs a callback");
}

INSTANTIATE_TEST_SUITE_P(Fails, OutOfMemoryTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Once" : "FromThenOn"; });

}  // namespace
}  // namespace savedmodel
