// SPDX-License-Identifier: Apache-2.0
#define EIGEN_USE_THREADS

#include "engine/threads/intra_op.h"

#include <string>
#include <system_error>

#include "engine/status.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/util/work_sharder.h"
#include "unsupported/Eigen/CXX11/Tensor"

namespace savedmodel::engine {
namespace tf = tensorflow;

struct IntraOpThreads::Workers {
  tf::DeviceBase::CpuWorkerThreads cpu;
  std::unique_ptr<Eigen::ThreadPoolDevice> eigen;
};

IntraOpThreads::IntraOpThreads(int threads) try
    : pool_(threads), wrapped_(&pool_), workers_(std::make_unique<Workers>()) {
  workers_->cpu.num_threads = threads;
  workers_->cpu.workers = &wrapped_;
  workers_->eigen = std::make_unique<Eigen::ThreadPoolDevice>(&pool_, threads);
} catch (const std::system_error& error) {
  throw Error(Code::kResourceExhausted,
              "threads=" + std::to_string(threads) + ": no more threads can be started: " + error.what());
}

IntraOpThreads::~IntraOpThreads() = default;

void IntraOpThreads::UseFor(const tf::DeviceMgr& devices) {
  for (tf::Device* device : devices.ListDevices()) {
    if (device->device_type() != tf::DEVICE_CPU) continue;
    device->set_tensorflow_cpu_worker_threads(&workers_->cpu);
    // Appended behind the shared pool's; kernels use the last.
    device->set_eigen_cpu_device(workers_->eigen.get());
  }
}

IntraOpThreads::Run::Run(IntraOpThreads* threads) {
  if (threads == nullptr || threads->pool_.NumThreads() == 1) return;
  call_.emplace(threads->pool_.fork_join());
  if (!call_->crowded()) return;
  // Eigen's loops can't be joined by their caller; with a limit of 1 they stay in its thread.
  parallelism_ = tf::GetPerThreadMaxParallelism();
  tf::SetPerThreadMaxParallelism(1);
}

IntraOpThreads::Run::~Run() {
  if (parallelism_ != 0) tf::SetPerThreadMaxParallelism(parallelism_);
}

}  // namespace savedmodel::engine
