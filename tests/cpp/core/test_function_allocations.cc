// SPDX-License-Identifier: Apache-2.0
// The allocations of a call, counted in malloc by the library that made them. Only TensorFlow's memory for
// results (posix_memalign) bypasses it.
#include <dlfcn.h>
#include <execinfo.h>

#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/model.h"
#include "tests/cpp/support.h"

namespace {

constexpr int kMax = 4096;
constexpr int kFrames = 4;
constexpr int kCalls = 10;  // few, because each allocation walks a stack
thread_local bool counting = false;
int count = 0;
void* callers[kMax][kFrames];

}  // namespace

extern "C" void* __libc_malloc(std::size_t size);  // NOLINT: glibc's own, behind malloc

// Replaces the C library's malloc for the program's libraries, including the C++ runtime.
extern "C" void* malloc(std::size_t size) {
  if (counting) {
    counting = false;
    if (count < kMax) backtrace(callers[count++], kFrames);
    counting = true;
  }
  return __libc_malloc(size);
}

namespace savedmodel {
namespace {

using testing::Floats;
using testing::LoadModel;
using testing::Numbers;
using testing::Tensors;

// The allocations of `calls` runs, by library.
template <typename Run>
std::map<std::string, std::size_t> Allocations(int calls, const Run& run) {
  void* first[kFrames];
  backtrace(first, kFrames);  // makes its own allocations in advance
  for (int i = 0; i < 5; ++i) run();
  count = 0;
  counting = true;
  for (int i = 0; i < calls; ++i) run();
  counting = false;
  std::map<std::string, std::size_t> result;
  for (int i = 0; i < count; ++i) {
    std::string owner = "?";
    // Skips this file's malloc and the C++ runtime's operator new.
    for (int frame = 1; frame < kFrames; ++frame) {
      Dl_info info;
      if (dladdr(callers[i][frame], &info) == 0 || info.dli_fname == nullptr) break;
      owner = info.dli_fname;
      owner = owner.substr(owner.rfind('/') + 1);
      if (owner.rfind("libstdc++", 0) != 0) break;
    }
    ++result[owner];
  }
  return result;
}

std::size_t Ours(const std::map<std::string, std::size_t>& allocations) {
  std::size_t ours = 0;
  for (const auto& [library, number] : allocations) {
    if (library.rfind("libtensorflow", 0) != 0) ours += number;
  }
  return ours;
}

class Call : public ::testing::TestWithParam<const char*> {
 protected:
  Call() : model_(LoadModel(GetParam(), OneThread())), function_(model_.function("serving_default")) {}

  static LoadOptions OneThread() {
    LoadOptions options;
    options.threads = 1;
    return options;
  }
  Tensors Inputs() const {
    Tensors inputs;
    for (const TensorSpec& spec : function_.inputs()) {
      std::vector<std::int64_t> dims = spec.shape.value();
      for (std::int64_t& dim : dims) dim = dim < 0 ? 4 : dim;
      const Shape shape(dims);
      inputs.push_back(Floats(Numbers(shape.num_elements()), shape));
    }
    return inputs;
  }

  const Model model_;
  const Function function_;
};

TEST_P(Call, AllocatesNothingOfOursIntoBuffers) {
  const Tensors inputs[] = {Inputs(), Inputs()};  // at other addresses from call to call
  Tensors outputs;
  for (const Tensor& result : function_.Run(inputs[0])) {
    outputs.push_back(Tensor::Empty(result.dtype(), result.shape()));
  }
  std::size_t turn = 0;
  const auto allocations = Allocations(kCalls, [&] { function_.RunInto(inputs[turn++ % 2], outputs); });
  EXPECT_EQ(Ours(allocations), 0U) << ::testing::PrintToString(allocations);
}

TEST_P(Call, AllocatesOneThingForAView) {
  const Tensors inputs = Inputs();
  Tensors outputs(function_.outputs().size());
  const auto allocations = Allocations(kCalls, [&] { function_.Run(inputs, outputs); });
  EXPECT_EQ(Ours(allocations), std::size_t{kCalls} * outputs.size()) << ::testing::PrintToString(allocations);
}

// Allocations are seen at all.
TEST(Malloc, CountsWhatIsOurs) {
  const Model model = LoadModel("add");
  const Function function = model.function("serving_default");
  const Tensors inputs{Floats({1}), Floats({2})};
  const auto allocations = Allocations(kCalls, [&] { (void)function.Run(inputs); });
  EXPECT_GE(allocations.count("libsavedmodel_tensorflow.so"), 1U) << ::testing::PrintToString(allocations);
  EXPECT_GE(Ours(allocations), std::size_t{2} * kCalls) << ::testing::PrintToString(allocations);
}

INSTANTIATE_TEST_SUITE_P(Models, Call, ::testing::Values("add", "mlp", "wide", "conv_mobile", "encoder_tanh"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace savedmodel
