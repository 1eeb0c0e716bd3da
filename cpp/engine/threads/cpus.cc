// SPDX-License-Identifier: Apache-2.0
#include "engine/threads/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

namespace savedmodel::engine {
namespace {

constexpr int kMaxCpus = 1 << 16;

std::optional<int> Ratio(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  return static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, static_cast<double>(kMaxCpus)));
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<int> Least(std::optional<int> one, std::optional<int> other) {
  if (!one || !other) return one ? one : other;
  return std::min(*one, *other);
}

// The quota of `group` and of each group above it, up to the mount point. Inside a container the path may be
// the host's; then only the mount point exists here.
template <typename Read>
std::optional<int> LeastUpwards(const std::string& mount, std::string group, const Read& read) {
  std::optional<int> least = read(mount);
  while (!group.empty() && group != "/") {
    least = Least(least, read(mount + group));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return least;
}

bool HasController(const std::string& list, const std::string& wanted) {
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

int AffinityCpus() {
  // The kernel refuses a mask smaller than its own.
  for (int cpus = 1024; cpus <= kMaxCpus; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

std::optional<int> ParseCpuMax(const std::string& text) {
  std::istringstream words(text);
  double quota = 0;
  double period = 0;
  if (!(words >> quota >> period)) return std::nullopt;  // "max": no quota
  return Ratio(quota, period);
}

std::optional<int> ParseCfsQuota(const std::string& quota, const std::string& period) {
  double quota_us = 0;
  double period_us = 0;
  if (!(std::istringstream(quota) >> quota_us) || !(std::istringstream(period) >> period_us))
    return std::nullopt;
  return Ratio(quota_us, period_us);
}

std::optional<int> CgroupCpus(const std::string& proc, const std::string& sys) {
  const std::string mount = sys + "/fs/cgroup";
  std::optional<int> least;
  std::istringstream lines(ReadAll(proc + "/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    // "number:controllers:/path"; version 2 has number 0 and no controllers.
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      for (const std::string& root : {mount, mount + "/unified"}) {
        least = Least(least, LeastUpwards(root, group, [](const std::string& folder) {
                        return ParseCpuMax(ReadAll(folder + "/cpu.max"));
                      }));
      }
    } else if (HasController(controllers, "cpu")) {
      for (const std::string& root : {mount + "/cpu", mount + "/" + controllers}) {
        least = Least(least, LeastUpwards(root, group, [](const std::string& folder) {
                        return ParseCfsQuota(ReadAll(folder + "/cpu.cfs_quota_us"),
                                             ReadAll(folder + "/cpu.cfs_period_us"));
                      }));
      }
    }
  }
  return least;
}

int DefaultThreads() { return std::max(1, *Least(AffinityCpus(), CgroupCpus())); }

}  // namespace savedmodel::engine
