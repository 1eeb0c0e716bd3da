// SPDX-License-Identifier: Apache-2.0
// CPUs that a process may use, read from files like the kernel's.
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "engine/threads/cpus.h"
#include "gtest/gtest.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel::engine {
namespace {

namespace fs = std::filesystem;

class Cgroup : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::optional<int> Cpus() const { return CgroupCpus(root_ / "proc", root_ / "sys"); }

 private:
  const testing::TemporaryFolder temporary_;
  const fs::path& root_ = temporary_.path();
};

TEST(CpuMax, IsRoundedUp) {
  EXPECT_EQ(ParseCpuMax("200000 100000\n"), 2);
  EXPECT_EQ(ParseCpuMax("150000 100000\n"), 2);
  EXPECT_EQ(ParseCpuMax("1000 100000\n"), 1);
}

TEST(CpuMax, WithoutAQuotaThereIsNone) {
  for (const char* text : {"max 100000\n", "", "max", "100000", "-1 100000", "1 0", "x y"}) {
    EXPECT_EQ(ParseCpuMax(text), std::nullopt) << text;
  }
}

TEST(CfsQuota, IsRoundedUp) {
  EXPECT_EQ(ParseCfsQuota("250000\n", "100000\n"), 3);
  EXPECT_EQ(ParseCfsQuota("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(ParseCfsQuota("", ""), std::nullopt);
}

TEST_F(Cgroup, NothingIsNoQuota) { EXPECT_EQ(Cpus(), std::nullopt); }

TEST_F(Cgroup, Version2TakesTheLeastOfItsGroups) {
  Write("proc/self/cgroup", "0::/pod/container\n");
  Write("sys/fs/cgroup/pod/cpu.max", "300000 100000\n");
  EXPECT_EQ(Cpus(), 3);
  Write("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
  EXPECT_EQ(Cpus(), 3);
  Write("sys/fs/cgroup/pod/container/cpu.max", "50000 100000\n");
  EXPECT_EQ(Cpus(), 1);
}

TEST_F(Cgroup, Version2InAContainerIsAtTheMountPoint) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(Cpus(), 4);
}

TEST_F(Cgroup, Version1) {
  Write("proc/self/cgroup", "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n");
  Write("sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "600000\n");
  Write("sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Cpus(), 6);
  // In a container the path is the host's, and the group is mounted at the root.
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Cpus(), 2);
}

TEST(DefaultThreads, KeepsToTheAffinityMask) {
  EXPECT_GE(DefaultThreads(), 1);
  std::thread([] {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before)) continue;
      CPU_SET(cpu, &one);
      break;
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(DefaultThreads(), 1);
  }).join();
}

}  // namespace
}  // namespace savedmodel::engine
