// SPDX-License-Identifier: Apache-2.0
// Watched: versions that come and go, fail, are held and let go, under calls.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "core/sha256.h"
#include "gtest/gtest.h"
#include "savedmodel/warmup.h"
#include "savedmodel/watched.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

namespace fs = std::filesystem;
using testing::Floats;
using testing::Has;
using testing::Int;
using testing::Mentions;
using testing::ModelPath;
using testing::ThrownBy;
using testing::Values;

using Versions = std::vector<std::int64_t>;

void Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "it did not come to pass";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

float Add(const Model& model) {
  return Values(model.function("serving_default").Run({Floats({1.5F}), Floats({2.25F})}).at(0)).at(0);
}

class WatchedTest : public ::testing::Test {
 protected:
  // Publishes atomically, as `savedmodel publish` does.
  void Publish(int version, const std::string& model = "add") {
    const fs::path hidden = directory_ / ".new";
    fs::copy(ModelPath(model), hidden, fs::copy_options::recursive);
    fs::rename(hidden, directory_ / std::to_string(version));
  }
  void Remove(int version) { fs::remove_all(directory_ / std::to_string(version)); }
  // True if a lock keeps it from being removed.
  bool Held(int version) {
    const int file = open((directory_ / std::to_string(version)).c_str(), O_RDONLY | O_DIRECTORY);
    const bool held = flock(file, LOCK_EX | LOCK_NB) != 0;
    close(file);
    return held;
  }
  // Looks only on request.
  Watched Start(int versions = 1) {
    WatchOptions options;
    options.poll = 3600;
    options.versions = versions;
    options.on_change = [this](const VersionChange& change) { changes_.push_back(change); };
    return Watched::Start(directory_, options);
  }

  const testing::TemporaryFolder temporary_;
  const fs::path& directory_ = temporary_.path();
  std::vector<VersionChange> changes_;
};

TEST_F(WatchedTest, ANewVersionIsFoundAndTheOldOneLetGo) {
  Publish(9);
  WatchOptions options;
  options.poll = 0.01;
  const Watched watched = Watched::Start(directory_, options);
  EXPECT_EQ(watched.version(), 9);
  EXPECT_EQ(Add(watched.model()), 3.75F);
  Publish(10);  // compared as numbers, not as text
  Eventually([&] { return watched.version() == 10; });
  EXPECT_EQ(watched.model().path(), (directory_ / "10").string());
  Eventually([&] { return watched.status().draining.empty(); });
  Eventually([&] { return !Held(9); });
  EXPECT_TRUE(Held(10));
  EXPECT_EQ(watched.status().versions, Versions{10});
  EXPECT_EQ(watched.status().switches, 1);
}

TEST_F(WatchedTest, OnlyTheVersionsThatAreNamedAreLoaded) {
  for (const int version : {1, 2, 3}) Publish(version);
  WatchOptions options;
  options.poll = 3600;
  options.versions = 0;
  options.only = {1, 3, 7};
  Watched watched = Watched::Start(directory_, options);
  EXPECT_EQ(watched.status().versions, (Versions{1, 3}));
  EXPECT_THROW((void)watched.model(2), Error);
  Publish(4);
  Publish(7);
  watched.Refresh();
  EXPECT_EQ(watched.status().versions, (Versions{1, 3, 7}));
  options.only = {2};
  options.versions = 1;
  EXPECT_EQ(Watched::Start(directory_, options).version(), 2);
  options.only = {5};
  EXPECT_THROW((void)Watched::Start(directory_, options), Error);
}

TEST_F(WatchedTest, WhatIsNoVersionIsLeftAlone) {
  Publish(1);
  for (const char* name : {"2", "latest", "-3", "4x", ".new-1", "99999999999999999999"}) {
    fs::create_directory(directory_ / name);
  }
  std::ofstream(directory_ / "5") << "a file";
  const Watched watched = Start();
  EXPECT_EQ(watched.version(), 1);
  EXPECT_TRUE(watched.status().failed.empty());
}

TEST_F(WatchedTest, AVersionThatFailsChangesNothing) {
  Publish(1);
  Watched watched = Start();
  Publish(2, "bad_garbage_pb");
  watched.Refresh();
  watched.Refresh();
  EXPECT_EQ(watched.version(), 1);
  EXPECT_EQ(Add(watched.model()), 3.75F);
  ASSERT_EQ(changes_.size(), 2U);  // a failure is reported once
  EXPECT_EQ(changes_[1].version, 2);
  EXPECT_EQ(changes_[1].previous, 1);
  EXPECT_TRUE(Has(changes_[1].error, "saved_model.pb"));
  EXPECT_EQ(watched.status().failed.at(2), changes_[1].error);
  EXPECT_TRUE(Mentions(ThrownBy([&] { (void)watched.model(2); }),
                       {"version 2", "could not be loaded", changes_[1].error}));

  Remove(2);
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(watched.version(), 2);
  EXPECT_TRUE(watched.status().failed.empty());
}

TEST_F(WatchedTest, AVersionWhoseFilesCanNotBeListed) {
  Publish(1);
  Watched watched = Start();
  Publish(2);
  fs::create_symlink("loop", directory_ / "2" / "loop");
  for (int look = 0; look < 3; ++look) watched.Refresh();
  EXPECT_EQ(watched.version(), 1);
  ASSERT_EQ(changes_.size(), 2U);
  EXPECT_TRUE(Has(changes_[1].error, "can't read"));
  fs::remove(directory_ / "2" / "loop");
  watched.Refresh();
  EXPECT_EQ(watched.version(), 2);
}

TEST_F(WatchedTest, AtTheStartTheHighestThatLoadsServes) {
  Publish(1);
  Publish(2, "bad_garbage_pb");
  EXPECT_EQ(Start().version(), 1);
  EXPECT_EQ(changes_.at(0).version, 2);
  EXPECT_EQ(changes_.at(0).previous, std::nullopt);
}

TEST_F(WatchedTest, WithoutAVersionThatLoads) {
  EXPECT_EQ(ThrownBy([&] { Start(); }).code(), Code::kNotFound);
  Publish(1, "bad_garbage_pb");
  EXPECT_TRUE(Mentions(ThrownBy([&] { Start(); }), {"saved_model.pb"}));
  EXPECT_EQ(ThrownBy([&] { (void)Watched::Start(directory_ / "no"); }).code(), Code::kNotFound);

  WatchOptions options;
  options.poll = 0.01;
  options.required = false;
  const Watched watched = Watched::Start(directory_, options);
  const Error error = ThrownBy([&] { (void)watched.model(); });
  EXPECT_EQ(error.code(), Code::kUnavailable);
  EXPECT_TRUE(Mentions(error, {"no version", "saved_model.pb"}));
  EXPECT_EQ(ThrownBy([&] { watched.version(); }).code(), Code::kUnavailable);
  Publish(2);
  Eventually([&] { return !watched.status().versions.empty(); });
  EXPECT_EQ(Add(watched.model()), 3.75F);
}

TEST_F(WatchedTest, OptionsThatCanNotBe) {
  for (const double poll : {0.0, -1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
    WatchOptions options;
    options.poll = poll;
    EXPECT_TRUE(Mentions(testing::MistakeIn([&] { (void)Watched::Start(directory_, options); }), {"poll"}));
  }
  WatchOptions options;
  options.versions = -1;
  EXPECT_TRUE(Mentions(testing::MistakeIn([&] { (void)Watched::Start(directory_, options); }), {"versions"}));
}

TEST_F(WatchedTest, APollInSomeThousandYears) {
  Publish(1);
  WatchOptions options;
  options.poll = 1e300;
  const Watched watched = Watched::Start(directory_, options);
  Publish(2);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(watched.version(), 1);
}

TEST_F(WatchedTest, SeveralVersions) {
  for (int version = 1; version <= 4; ++version) Publish(version, version == 3 ? "bad_garbage_pb" : "add");
  Watched all = Start(0);
  EXPECT_EQ(all.status().versions, (Versions{1, 2, 4}));
  EXPECT_EQ(all.model(2).path(), (directory_ / "2").string());
  EXPECT_EQ(ThrownBy([&] { (void)all.model(5); }).code(), Code::kNotFound);
  EXPECT_EQ(ThrownBy([&] { (void)all.model(3); }).code(), Code::kUnavailable);

  Watched two = Start(2);
  EXPECT_EQ(two.status().versions, (Versions{2, 4}));
  Publish(5);
  two.Refresh();
  EXPECT_EQ(two.status().versions, (Versions{4, 5}));
  EXPECT_TRUE(Mentions(ThrownBy([&] { (void)two.model(2); }), {"version 2 of", "is not loaded", "4, 5"}));
}

TEST_F(WatchedTest, AFolderThatIsTakenAway) {
  Publish(1);
  Publish(2);
  Watched watched;
  std::vector<std::int64_t> told;
  WatchOptions options;
  options.poll = 3600;
  options.on_change = [&](const VersionChange& change) {
    if (change.previous) told = {change.version, *change.previous, watched.version()};
  };
  watched = Watched::Start(directory_, options);
  Remove(2);
  watched.Refresh();
  EXPECT_EQ(told, (Versions{1, 2, 1}));
  EXPECT_EQ(watched.version(), 1);
  EXPECT_EQ(watched.status().switches, 1);
  Remove(1);
  watched.Refresh();  // the loaded version keeps working
  EXPECT_EQ(Add(watched.model()), 3.75F);
  fs::remove_all(directory_);
  watched.Refresh();
  EXPECT_EQ(Add(watched.model()), 3.75F);
  EXPECT_TRUE(Has(watched.status().error, directory_.string()));
}

TEST_F(WatchedTest, WhoHoldsAVersionKeepsIt) {
  Publish(1);
  Watched watched = Start();
  Function held = watched.model().function("serving_default");
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(watched.status().draining, Versions{1});
  EXPECT_TRUE(Held(1));
  EXPECT_EQ(Values(held.Run({Floats({1}), Floats({2})}).at(0)), std::vector<float>{3});
  held = Function();
  Eventually([&] { return watched.status().draining.empty(); });
  Eventually([&] { return !Held(1); });  // the model is closed first
}

TEST_F(WatchedTest, FunctionsOfTheNewestVersion) {
  Publish(1, "functions");
  Watched watched = Start();
  EXPECT_EQ(watched.model().functions().count("encoder.call"), 1U);
  const std::vector<Tensor> scalars{Floats({1}, {}), Floats({2}, {})};
  (void)watched.model().saved_function("nested", scalars).Run(scalars);
  const auto counted = [&] {
    return Values<std::int64_t>(watched.model().saved_function("counted").Run({})[0])[0];
  };
  EXPECT_EQ(counted(), 1);
  Publish(2, "functions");
  watched.Refresh();
  EXPECT_EQ(counted(), 0);
  const std::vector<Tensor> x{Floats({1, 2, 3, 4}, {1, 4})};
  EXPECT_EQ(watched.model().saved_function("__call__", x).Run(x)[0].shape(), Shape({1, 3}));
}

TEST_F(WatchedTest, AForkDuringALoad) {
  Publish(1);
  std::atomic<bool> loading{false};
  WatchOptions options;
  options.poll = 0.01;
  options.warm_up = [&](const Model& model) {
    if (Has(model.path(), "/1")) return;
    loading = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  };
  Watched watched = Watched::Start(directory_, options);
  Publish(2);
  Eventually([&] { return loading.load(); });
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    const std::vector<std::function<void()>> calls = {
        [&] { (void)watched.model(); }, [&] { (void)watched.model(1); }, [&] { watched.version(); },
        [&] { watched.status(); }, [&] { watched.Refresh(); }};
    const bool all = std::all_of(calls.begin(), calls.end(), [](const auto& call) {
      const Error error = ThrownBy(call);
      return error.code() == Code::kFailedPrecondition && Has(error.what(), "forked");
    });
    watched = Watched();
    _exit(all ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  Eventually([&] { return watched.version() == 2; });
}

TEST_F(WatchedTest, AForkedChildHoldsNoVersion) {
  Publish(1);
  Watched watched = Start();
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  EXPECT_TRUE(Held(1));
  watched = Watched();
  EXPECT_FALSE(Held(1));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_F(WatchedTest, AWarmUpCanRefuseAVersion) {
  Publish(1);
  WatchOptions options;
  options.poll = 3600;
  options.warm_up = [](const Model& model) {
    if (Add(model) != 3.75F) throw std::runtime_error("wrong");
    if (Has(model.path(), "/2")) throw std::runtime_error("not this one");
  };
  Watched watched = Watched::Start(directory_, options);
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(watched.version(), 1);
  EXPECT_EQ(watched.status().failed.at(2), "not this one");
}

// As `savedmodel publish` writes it.
void WriteManifest(const fs::path& folder, const std::vector<std::int64_t>& withdraws = {}) {
  using internal::Json;
  Json::Object files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const Json size{static_cast<std::int64_t>(entry.file_size())};
    files[internal::FromBytes(fs::relative(entry.path(), folder).string())] = {Json::Object{{U"size", size}}};
  }
  Json::Array numbers;
  for (const std::int64_t version : withdraws) numbers.emplace_back().value = version;
  Json::Object body = {{U"format", {std::int64_t{1}}}, {U"files", {files}}, {U"withdraws", {numbers}}};
  body[U"sha256"] = {internal::FromBytes(internal::Sha256(internal::DumpJson({body})))};
  fs::create_directory(folder / "assets.extra");
  std::ofstream(folder / "assets.extra/savedmodel_manifest.json") << internal::DumpJson({body});
}

TEST_F(WatchedTest, AVersionThatIsNotWhatWasPublished) {
  Publish(1);
  WriteManifest(directory_ / "1");
  Watched watched = Start();
  EXPECT_EQ(watched.version(), 1);
  const fs::path folder = directory_ / "2";
  const auto refused = [&](const std::string& why) {
    watched.Refresh();
    EXPECT_EQ(watched.version(), 1);
    EXPECT_TRUE(
        Has(watched.status().failed[2], "'" + folder.string() + "' is not what was published: " + why));
  };
  Publish(2);
  WriteManifest(folder);
  std::ofstream(folder / "more") << "?";
  refused("more: added");
  fs::remove(folder / "more");
  fs::rename(folder / "saved_model.pb", folder / "saved_model.cpb");
  refused("saved_model.pb: missing");
  fs::rename(folder / "saved_model.cpb", folder / "saved_model.pb");
  std::ofstream(folder / "saved_model.pb", std::ios::app) << " ";
  refused("saved_model.pb: changed");
  WriteManifest(folder);
  std::fstream(folder / "assets.extra/savedmodel_manifest.json").seekp(12).put('9');
  refused("the manifest ");
  fs::resize_file(folder / "assets.extra/savedmodel_manifest.json", 20);
  refused("the manifest can't be read");
  fs::remove(folder / "assets.extra/savedmodel_manifest.json");
  fs::create_directory(folder / "assets.extra/savedmodel_manifest.json");
  refused("the manifest is not a file");
}

TEST_F(WatchedTest, AVersionThatWasWithdrawn) {
  Publish(1);
  Publish(2);
  Publish(3, "bad_garbage_pb");  // a rollback that can't be loaded
  WriteManifest(directory_ / "3", {2});
  Watched watched = Start();
  EXPECT_EQ(watched.version(), 1);
  Remove(3);
  watched.Refresh();
  EXPECT_EQ(watched.version(), 2);
  Publish(3, "bad_garbage_pb");
  WriteManifest(directory_ / "3", {2});
  watched.Refresh();
  EXPECT_EQ(watched.version(), 2);  // it is loaded
}

TEST_F(WatchedTest, RecordedRequestsAreReplayed) {
  Publish(1);
  const auto record = [&](int version, const Tensor& x) {
    const WarmupRequest request{"serving_default", {{"x", x}, {"y", Floats({2})}}, {}, {}};
    RecordWarmup((directory_ / std::to_string(version)).string(), {request, request});
  };
  record(1, Floats({1}));
  Watched watched = Start();
  EXPECT_EQ(watched.model().warmed_up(), 2U);
  fs::copy(ModelPath("add"), directory_ / ".new", fs::copy_options::recursive);
  fs::rename(directory_ / ".new", directory_ / "2");
  record(2, Int(1));
  watched.Refresh();
  EXPECT_EQ(watched.version(), 1);
  EXPECT_TRUE(Has(watched.status().failed.at(2), "warm-up request 1"));
}

TEST_F(WatchedTest, AReplacedVersionIsClosedAfterItsCalls) {
  Publish(1, "slow");
  std::vector<std::int64_t> serving;
  WatchOptions options;
  options.poll = 3600;
  options.close_replaced = true;
  options.on_switch = [&](std::int64_t version, const Model& model) {
    serving.push_back(version);
    EXPECT_FALSE(model.closed());
  };
  Watched watched = Watched::Start(directory_, options);
  const Model old = watched.model();
  const Function slow = old.function(old.default_signature());
  std::atomic<bool> begun{false};
  std::thread call([&] {
    begun = true;
    (void)slow.Run({Int(100'000)});
  });
  Eventually([&] { return begun.load(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(serving, (Versions{1, 2}));
  EXPECT_EQ(watched.status().draining, Versions{1});
  EXPECT_TRUE(old.closed());
  EXPECT_TRUE(Held(1));
  call.join();
  Eventually([&] { return watched.status().draining.empty(); });
  EXPECT_FALSE(Held(1));
  EXPECT_EQ(Add(watched.model()), 3.75F);
}

TEST_F(WatchedTest, AThreadOfTheCallers) {
  Publish(1);
  WatchOptions options;
  options.poll = 0.001;
  options.own_thread = false;
  Watched watched = Watched::Start(directory_, options);
  Publish(2);
  EXPECT_TRUE(watched.Wait());
  EXPECT_EQ(watched.version(), 1);
  watched.Refresh();
  EXPECT_EQ(watched.version(), 2);
  watched.Stop();
  EXPECT_FALSE(watched.Wait());
}

TEST_F(WatchedTest, ThatIsClosed) {
  Publish(1);
  Watched watched = Start();
  Model model = watched.model();
  watched.Close();
  watched.Close();
  EXPECT_TRUE(model.closed());
  EXPECT_FALSE(Held(1));
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(ThrownBy([&] { (void)watched.model(); }).code(), Code::kFailedPrecondition);
}

TEST_F(WatchedTest, OnChangeMayLookAndClose) {
  Publish(1);
  Watched watched;
  std::vector<std::int64_t> told;
  WatchOptions options;
  options.poll = 3600;
  options.on_change = [&](const VersionChange& change) {
    told.push_back(change.version);
    if (change.version == 2) {
      Publish(3);
      watched.Refresh();
      EXPECT_EQ(watched.version(), 3);
    }
    if (change.version == 3) watched.Close();
  };
  watched = Watched::Start(directory_, options);
  Publish(2);
  watched.Refresh();
  EXPECT_EQ(told, (Versions{1, 2, 3}));
  EXPECT_TRUE(watched.status().versions.empty());
}

constexpr int kWidth = 1024;

// y = x * w, where x is float32 [?, kWidth], and w is square and all ones.
std::string TextOfWeights() {
  const auto dims = [](int first) {
    return "dim { size: " + std::to_string(first) + " } dim { size: " + std::to_string(kWidth) + " }";
  };
  const auto info = [&](const std::string& name) {
    return "{ key: '" + name + "' value { name: '" + name + ":0' dtype: DT_FLOAT tensor_shape { " + dims(-1) +
           " } } }";
  };
  return R"(saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' } graph_def {
      versions { producer: 1882 }
      node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } }
        attr { key: 'shape' value { shape { )" +
         dims(-1) + R"( } } } }
      node { name: 'w' op: 'Const' attr { key: 'dtype' value { type: DT_FLOAT } }
        attr { key: 'value' value { tensor { dtype: DT_FLOAT float_val: 1 tensor_shape { )" +
         dims(kWidth) + R"( } } } } }
      node { name: 'y' op: 'MatMul' input: 'x' input: 'w' attr { key: 'T' value { type: DT_FLOAT } } } }
      signature_def { key: 'serving_default' value { method_name: 'tensorflow/serving/predict'
        inputs )" +
         info("x") + " outputs " + info("y") + " } } }";
}

std::size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(WatchedTest, ManySwitchesUnderLoad) {
  constexpr int kSwitches = 130;
  constexpr int kFlatFrom = 80;  // malloc's reserve grows until then
  constexpr std::size_t kWeights = sizeof(float) * kWidth * kWidth;
  const fs::path hidden = directory_ / ".model";
  fs::create_directory(hidden);
  std::ofstream(hidden / "saved_model.pbtxt") << TextOfWeights();
  const auto publish = [&](int version) {
    fs::copy(hidden, directory_ / ".new");
    fs::rename(directory_ / ".new", directory_ / std::to_string(version));
  };
  publish(1);
  WatchOptions options;
  options.poll = 0.005;
  options.load.threads = 1;
  const Watched watched = Watched::Start(directory_, options);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      std::int64_t last = 0;
      const Tensor x = Floats(std::vector<float>(kWidth, 0.5F), {1, kWidth});
      while (!stop) {
        const Model model = watched.model();
        const std::int64_t version = std::stoll(fs::path(model.path()).filename());
        const Tensor y = model.function("serving_default").Run({x}).at(0);
        if (version < last || Values(y) != std::vector<float>(kWidth, 0.5F * kWidth)) ++wrong;
        last = version;
        ++calls;
      }
    });
  }
  std::size_t before = 0;
  for (int version = 2; version < 2 + kSwitches; ++version) {
    publish(version);
    Eventually([&] { return watched.version() == version; });
    if (version > 3) Remove(version - 2);
    if (version == kFlatFrom) before = ResidentBytes();
  }
  Eventually([&] { return watched.status().draining.empty(); });
  const std::size_t after = ResidentBytes();
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(watched.status().switches, kSwitches);
  EXPECT_GT(calls, kSwitches);
  EXPECT_LT(after, before + (kSwitches - kFlatFrom) * kWeights / 3);
}

}  // namespace
}  // namespace savedmodel
