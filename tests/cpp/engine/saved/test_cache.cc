// SPDX-License-Identifier: Apache-2.0
// The cache of optimized functions: what it finds, its limit, and other users.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "engine/saved/cache.h"
#include "savedmodel/error.h"
#include "tests/cpp/graph_builder.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel::engine {
namespace {
namespace fs = std::filesystem;
namespace tf = tensorflow;

class OptimizedCacheTest : public ::testing::Test {
 protected:
  // The function of one weight of `floats` elements, fed by the tensor `feed`.
  static void Write(const OptimizedCache& cache, const std::string& feed, std::int64_t floats,
                    std::int64_t limit = OptimizedCache::kLimit,
                    const std::vector<FunctionGraph>& equal = {}) {
    ConstantPool pool;
    OptimizedFunction function;
    function.function.feeds = {feed};
    function.function.feed_types = {tf::DT_FLOAT};
    function.function.fetches = {"y:0"};
    function.function.fetch_types = {tf::DT_FLOAT};
    tf::GraphDef& graph = function.isolated.graph;
    tf::NodeDef* x = graph.add_node();
    x->set_name("savedmodel_feed_0");
    x->set_op("Placeholder");
    (*x->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
    tf::NodeDef* weight = graph.add_node();
    weight->set_name("weight");
    pool.Add(testing::Numbers({floats}, 1), weight);
    tf::NodeDef* y = graph.add_node();
    y->set_name("savedmodel_fetch_0");
    y->set_op("AddV2");
    y->add_input("savedmodel_feed_0");
    y->add_input("weight");
    (*y->mutable_attr())["T"].set_type(tf::DT_FLOAT);
    function.isolated.feeds = {"savedmodel_feed_0:0"};
    function.isolated.fetches = {"savedmodel_fetch_0:0"};
    cache.Write(function, equal, pool, limit);
  }
  static FunctionGraph Function(const std::string& feed) {
    return {{feed}, {tf::DT_FLOAT}, {"y:0"}, {tf::DT_FLOAT}, {}};
  }

  const testing::TemporaryFolder temporary_;
  const fs::path directory_ = temporary_.path() / "cache";
  const Origin origin_{{"model", "a"}, {"TensorFlow", "1"}};
};

TEST_F(OptimizedCacheTest, EqualFunctionsHaveOneEntry) {
  const OptimizedCache cache(directory_.string(), origin_);
  Write(cache, "x:0", 1000, OptimizedCache::kLimit, {Function("z:0")});
  std::vector<fs::path> folders, links;
  for (const auto& source : fs::directory_iterator(directory_)) {
    for (const auto& entry : fs::directory_iterator(source)) {
      (entry.is_symlink() ? links : folders).push_back(entry.path());
    }
  }
  ASSERT_EQ(folders.size(), 1U);
  ASSERT_EQ(links.size(), 1U);
  for (const char* feed : {"x:0", "z:0"}) {
    const auto files = cache.Read(Function(feed));
    ASSERT_NE(files, nullptr) << feed;
    EXPECT_NE(files->Find(Function("x:0")), nullptr);
    EXPECT_NE(files->Find(Function("z:0")), nullptr);
  }
  // A link to an entry that is gone is no entry, and is replaced by one.
  fs::remove_all(folders[0]);
  EXPECT_EQ(cache.Read(Function("z:0")), nullptr);
  EXPECT_FALSE(cache.HasAny());
  Write(cache, "z:0", 1000);
  ASSERT_NE(cache.Read(Function("z:0")), nullptr);
  EXPECT_EQ(cache.Read(Function("x:0")), nullptr);
  // Links count for nothing, and go with what they lead to.
  Write(cache, "x:0", 1000, 1, {Function("u:0")});
  EXPECT_EQ(cache.Read(Function("z:0")), nullptr);
  EXPECT_NE(cache.Read(Function("u:0")), nullptr);
}

TEST_F(OptimizedCacheTest, FindsTheFunctionsOfOneSource) {
  const OptimizedCache cache(directory_.string(), origin_);
  EXPECT_FALSE(cache.HasAny());
  Write(cache, "x:0", 8192);
  Write(cache, "z:0", 8192);
  Write(cache, "z:0", 8192);  // as another process may
  EXPECT_TRUE(cache.HasAny());
  for (const char* feed : {"x:0", "z:0"}) {
    const auto files = cache.Read(Function(feed));
    ASSERT_NE(files, nullptr);
    EXPECT_NE(files->Find(Function(feed)), nullptr);
  }
  EXPECT_EQ(cache.Read(Function("w:0")), nullptr);
  const OptimizedCache other(directory_.string(), {{"model", "b"}, {"TensorFlow", "1"}});
  EXPECT_FALSE(other.HasAny());
  EXPECT_EQ(other.Read(Function("x:0")), nullptr);
}

TEST_F(OptimizedCacheTest, StaysBelowItsLimit) {
  constexpr std::int64_t kFloats = 1 << 16, kLimit = 3 * (kFloats * 4 + 8192);
  const OptimizedCache first(directory_.string(), origin_);
  const OptimizedCache second(directory_.string(), {{"model", "b"}});
  Write(first, "x:0", kFloats, kLimit);
  Write(second, "x:0", kFloats, kLimit);
  Write(second, "y:0", kFloats, kLimit);
  for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
    if (entry.is_directory()) {
      fs::last_write_time(entry, fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }
  EXPECT_NE(first.Read(Function("x:0")), nullptr);  // used again
  EXPECT_NE(second.Read(Function("y:0")), nullptr);
  Write(second, "z:0", kFloats, kLimit);
  EXPECT_EQ(second.Read(Function("x:0")), nullptr);
  EXPECT_NE(first.Read(Function("x:0")), nullptr);
  Write(second, "large:0", 8 * kFloats, kLimit);  // over the limit alone: the last one stays
  EXPECT_FALSE(first.HasAny());
  EXPECT_NE(second.Read(Function("large:0")), nullptr);
}

TEST_F(OptimizedCacheTest, RemovesWhatItCannotRead) {
  const OptimizedCache cache(directory_.string(), origin_);
  Write(cache, "x:0", 8192);
  for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
    if (entry.path().filename() == "weights.bin") fs::resize_file(entry.path(), 100);
  }
  EXPECT_EQ(cache.Read(Function("x:0")), nullptr);
  EXPECT_FALSE(cache.HasAny());
  Write(cache, "x:0", 8192);
  EXPECT_NE(cache.Read(Function("x:0")), nullptr);
}

TEST_F(OptimizedCacheTest, RemovesWhatKilledProcessesLeft) {
  const OptimizedCache cache(directory_.string(), origin_);
  Write(cache, "x:0", 8192);
  const fs::path source = fs::directory_iterator(directory_)->path();
  fs::create_directories(source / ".1-2" / "assets.extra");
  fs::create_directories(source / ".3-4");  // by a process that is still at it
  fs::create_directories(directory_ / "empty");
  fs::last_write_time(source / ".1-2", fs::file_time_type::clock::now() - std::chrono::hours(25));
  Write(cache, "y:0", 8192);
  EXPECT_FALSE(fs::exists(source / ".1-2"));
  EXPECT_TRUE(fs::exists(source / ".3-4"));
  EXPECT_FALSE(fs::exists(directory_ / "empty"));
}

TEST_F(OptimizedCacheTest, LetsNobodyElseInWhateverTheUmask) {
  const mode_t before = umask(0);
  fs::create_directory(directory_);
  fs::permissions(directory_, fs::perms(0755));
  const OptimizedCache cache(directory_.string(), origin_);
  Write(cache, "x:0", 8192);
  umask(before);
  const fs::path source = fs::directory_iterator(directory_)->path();
  EXPECT_EQ(fs::status(source).permissions(), fs::perms::owner_all);
  fs::permissions(source, fs::perms::all);
  EXPECT_THROW((void)cache.Read(Function("x:0")), Error);
}

TEST_F(OptimizedCacheTest, RefusesADirectoryThatOthersMayWriteTo) {
  fs::create_directory(directory_);
  fs::permissions(directory_, fs::perms::all);
  try {
    OptimizedCache cache(directory_.string(), origin_);
    FAIL() << "it was used";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kPermissionDenied);
  }
}

}  // namespace
}  // namespace savedmodel::engine
