// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/target.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <random>

#include "savedmodel/savedmodel.h"
#include "tensorflow/core/framework/op.h"
#include "tests/fuzz/mutate.h"

namespace savedmodel::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargest = 300'000;    // bytes of a saved_model.pb
constexpr std::size_t kMostElements = 1 << 16;  // of a made-up input

// Ops that do more than compute are no targets: a fuzzer must not write files or end processes.
const std::vector<std::string>& Ops() {
  static const auto* ops = [] {
    auto* names = new std::vector<std::string>;
    std::ifstream list(SAVEDMODEL_FUZZ_OPS);
    bool known = false;
    for (std::string line; std::getline(list, line);) {
      if (!line.empty() && line[0] == '[') known = line == "[known]";
      if (known && !line.empty() && line[0] != '[' && line[0] != '#') names->push_back(line);
    }
    return names;
  }();
  return *ops;
}

Tensor MadeUp(const TensorSpec& spec) {
  std::vector<std::int64_t> dims = spec.shape.value_or(std::vector<std::int64_t>{2});
  for (std::int64_t& dim : dims) dim = dim < 0 ? 2 : dim;
  const Shape shape(dims);
  if (shape.num_elements() > kMostElements) throw UsageError(UsageError::Kind::kValue, "a large input");
  if (spec.dtype == DType::kString) {
    return Tensor::Strings(shape, std::vector<std::string>(shape.num_elements(), "1"));
  }
  Tensor tensor = Tensor::Empty(spec.dtype, shape);
  std::memset(tensor.mutable_data(), 0, tensor.byte_size());
  if (spec.dtype == DType::kFloat32) {
    std::fill_n(tensor.mutable_data<float>(), tensor.num_elements(), 0.5F);
  }
  return tensor;
}

void Run(const Model& model, const std::string& signature) {
  const Function function = model.function(signature);
  std::vector<Tensor> inputs;
  for (const TensorSpec& spec : function.inputs()) inputs.push_back(MadeUp(spec));
  function.Run(inputs);
}

template <typename F>
bool Survives(bool say, const std::string& what, F&& call) {
  try {
    call();
    if (say) std::cout << what << ": well\n";
    return true;
  } catch (const Error& error) {
    if (say) std::cout << what << ": " << CodeName(error.code()) << ": " << error.what() << "\n";
  } catch (const std::bad_alloc&) {  // is what callers get where memory ends
    if (say) std::cout << what << ": no memory\n";
  }
  return false;
}

}  // namespace

std::vector<Fixture> ReadFixtures(const std::string& models) {
  std::vector<Fixture> fixtures;
  for (const fs::directory_entry& entry : fs::directory_iterator(models)) {
    const fs::path pb = entry.path() / "saved_model.pb";
    const std::string name = entry.path().filename();
    if (!fs::exists(pb) || fs::file_size(pb) > kLargest || name.rfind("bad_", 0) == 0) continue;
    if (name == "slow") continue;  // its loop ends when it is told to
    std::ifstream file(pb, std::ios::binary);
    fixtures.push_back({name, fs::absolute(entry.path()), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::sort(fixtures.begin(), fixtures.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return fixtures;
}

std::string WriteChanged(const std::vector<Fixture>& fixtures, std::uint64_t seed,
                         const std::string& target) {
  std::mt19937_64 random(seed);
  const Fixture& fixture = fixtures[random() % fixtures.size()];
  tensorflow::SavedModel proto;
  proto.ParseFromString(fixture.proto);
  const std::string changes = Mutator(&proto, seed, Ops()).Mutate();
  fs::remove_all(target);
  fs::create_directories(target);
  for (const char* folder : {"variables", "assets"}) {
    const fs::path from = fs::path(fixture.path) / folder;
    if (fs::exists(from)) fs::create_directory_symlink(from, fs::path(target) / folder);
  }
  std::ofstream file(fs::path(target) / "saved_model.pb", std::ios::binary);
  file << proto.SerializeAsString();
  return fixture.name + "\n" + changes;
}

Outcome LoadAndRun(const std::string& path, bool optimize, bool say) {
  Model model;
  LoadOptions options;
  if (!optimize) options.optimize = Optimize::kNone;
  Survives(say, "inspect", [&] {
    const Inspection inspection = Inspect(path);
    if (!inspection.meta_graphs.empty()) options.tags = inspection.meta_graphs.front().tags;
  });
  if (!Survives(say, "load", [&] { model = Model::Load(path, options); })) return Outcome::kRefused;
  Outcome outcome = Outcome::kLoaded;
  for (const auto& [name, signature] : model.signatures()) {
    if (Survives(say, "run " + name, [&, &key = name] { Run(model, key); })) outcome = Outcome::kRan;
  }
  for (const auto& [name, spec] : model.variables()) {
    Survives(say, "read " + name, [&, &key = name] { (void)model.ReadVariable(key); });
  }
  Survives(say, "placement", [&] { (void)model.Placement(); });
  return outcome;
}

}  // namespace savedmodel::fuzz
