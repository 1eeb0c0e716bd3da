// SPDX-License-Identifier: Apache-2.0
// The cache of optimized functions: what it finds, its limit, and other users.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/saved/cache.h"
#include "savedmodel/error.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace fs = std::filesystem;
namespace tf = tensorflow;

class OptimizedCacheTest : public ::testing::Test {
 protected:
  OptimizedCacheTest()
      : directory_(
            fs::path(::testing::TempDir()) /
            ("cache-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    fs::remove_all(directory_);
  }
  ~OptimizedCacheTest() override { fs::remove_all(directory_); }

  // The function of one weight of `floats` elements, fed by the tensor `feed`.
  static void Write(const OptimizedCache& cache, const std::string& feed, std::int64_t floats,
                    std::int64_t limit = OptimizedCache::kLimit) {
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
    cache.Write(std::move(function), pool, limit);
  }
  static FunctionGraph Function(const std::string& feed) {
    return {{feed}, {tf::DT_FLOAT}, {"y:0"}, {tf::DT_FLOAT}, {}};
  }

  const fs::path directory_;
  const Origin origin_{{"model", "a"}, {"TensorFlow", "1"}};
};

TEST_F(OptimizedCacheTest, FindsTheFunctionsOfOneSource) {
  const OptimizedCache cache(directory_.string(), origin_);
  EXPECT_TRUE(cache.Read().empty());
  Write(cache, "x:0", 8192);
  Write(cache, "z:0", 8192);
  Write(cache, "z:0", 8192);  // as another process may
  const auto found = cache.Read();
  ASSERT_EQ(found.size(), 2);
  int known = 0;
  for (const auto& files : found) {
    known += files->Find(Function("x:0")) != nullptr ? 1 : 0;
    known += files->Find(Function("z:0")) != nullptr ? 1 : 0;
    EXPECT_EQ(files->Find(Function("w:0")), nullptr);
  }
  EXPECT_EQ(known, 2);
  const OptimizedCache other(directory_.string(), {{"model", "b"}, {"TensorFlow", "1"}});
  EXPECT_TRUE(other.Read().empty());
}

TEST_F(OptimizedCacheTest, StaysBelowItsLimit) {
  constexpr std::int64_t kFloats = 1 << 16, kLimit = 3 * (kFloats * 4 + 8192);
  const OptimizedCache first(directory_.string(), origin_);
  const OptimizedCache second(directory_.string(), {{"model", "b"}});
  Write(first, "x:0", kFloats, kLimit);
  Write(second, "x:0", kFloats, kLimit);
  Write(second, "y:0", kFloats, kLimit);
  EXPECT_EQ(first.Read().size() + second.Read().size(), 3);
  for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
    if (entry.is_directory())
      fs::last_write_time(entry, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  EXPECT_EQ(first.Read().size(), 1);  // used again
  Write(second, "z:0", kFloats, kLimit);
  EXPECT_EQ(first.Read().size(), 1);
  EXPECT_EQ(second.Read().size(), 2);
  Write(second, "large:0", 8 * kFloats, kLimit);  // over the limit alone: the last one stays
  EXPECT_EQ(first.Read().size() + second.Read().size(), 1);
}

TEST_F(OptimizedCacheTest, RemovesWhatItCannotRead) {
  const OptimizedCache cache(directory_.string(), origin_);
  Write(cache, "x:0", 8192);
  for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
    if (entry.path().filename() == "weights.bin") fs::resize_file(entry.path(), 100);
  }
  EXPECT_TRUE(cache.Read().empty());
  Write(cache, "x:0", 8192);
  EXPECT_EQ(cache.Read().size(), 1);
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
