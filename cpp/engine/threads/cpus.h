// SPDX-License-Identifier: Apache-2.0
// The number of CPUs that this process may use, by its affinity mask and its control groups.
#pragma once

#include <optional>
#include <string>

namespace savedmodel::engine {

// At least 1.
int DefaultThreads();

// CPUs that the quotas of the control group and its parents allow, rounded up; nothing without a quota.
// `proc` and `sys` are the roots of the two file systems.
std::optional<int> CgroupCpus(const std::string& proc = "/proc", const std::string& sys = "/sys");

// The text of a version 2 `cpu.max`: "quota period" or "max period", in microseconds.
std::optional<int> ParseCpuMax(const std::string& text);
// The texts of a version 1 `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`.
std::optional<int> ParseCfsQuota(const std::string& quota, const std::string& period);

}  // namespace savedmodel::engine
