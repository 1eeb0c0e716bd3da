// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/target.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <random>
#include <set>

#include "engine/files/files.h"
#include "engine/files/graph_checks.h"
#include "engine/graph/graph.h"
#include "engine/graph/signatures.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/op_uses.h"
#include "engine/objects/object_graph.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/op.h"
#include "tests/fuzz/mutate.h"

namespace savedmodel::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargest = 300'000;  // bytes of a saved_model.pb

// Ops that do more than compute are no targets: a fuzzer must not write files or end processes.
const std::vector<std::string>& Ops() {
  static const auto* ops = [] {
    std::set<std::string> harmful;
    std::ifstream list(SAVEDMODEL_FUZZ_OPS);
    for (std::string line; std::getline(list, line);) harmful.insert(line.substr(0, line.find(" = ")));
    auto* names = new std::vector<std::string>;
    for (const std::string& op : engine::ListRegisteredOps()) {
      if (harmful.count(op) == 0 && op.rfind("_Savedmodel", 0) != 0) names->push_back(op);
    }
    return names;
  }();
  return *ops;
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

Outcome ReadAndCheck(const std::string& path, bool say) {
  tensorflow::SavedModel proto;
  if (!Survives(say, "read", [&] { proto = engine::ReadSavedModelProto(path); })) return Outcome::kUnreadable;
  Survives(say, "inspect", [&] { (void)engine::InspectSavedModel(path); });
  bool accepted = true;
  for (const tensorflow::MetaGraphDef& meta_graph : proto.meta_graphs()) {
    accepted &= Survives(say, "check the graph", [&] { engine::CheckGraph(path, meta_graph); });
    accepted &= Survives(say, "check files", [&] { engine::CheckFiles(path, meta_graph); });
    Survives(say, "index", [&] { (void)engine::GraphIndex(meta_graph.graph_def()); });
    Survives(say, "signatures", [&] { (void)engine::ReadSignatures(meta_graph); });
    Survives(say, "uses of ops", [&] { (void)engine::CountOpUses(meta_graph); });
    Survives(say, "functions", [&] { (void)engine::ReadConcreteFunctions(meta_graph.object_graph_def()); });
  }
  return accepted ? Outcome::kAccepted : Outcome::kRefused;
}

}  // namespace savedmodel::fuzz
