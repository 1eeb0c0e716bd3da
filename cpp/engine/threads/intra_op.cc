// SPDX-License-Identifier: Apache-2.0
#define EIGEN_USE_THREADS

#include "engine/threads/intra_op.h"

#include "engine/status.h"
#include "engine/threads/cpus.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "unsupported/Eigen/CXX11/Tensor"

namespace savedmodel::engine {
namespace tf = tensorflow;

struct IntraOpThreads::Workers {
  tf::DeviceBase::CpuWorkerThreads cpu;
  std::unique_ptr<Eigen::ThreadPoolDevice> eigen;
};

IntraOpThreads::IntraOpThreads(int threads)
    : pool_(threads), wrapped_(&pool_), workers_(std::make_unique<Workers>()) {
  workers_->cpu.num_threads = threads;
  workers_->cpu.workers = &wrapped_;
  workers_->eigen = std::make_unique<Eigen::ThreadPoolDevice>(&pool_, threads);
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
  if (threads != nullptr && threads->pool_.NumThreads() > 1) call_.emplace(threads->pool_.fork_join());
}

std::unique_ptr<IntraOpThreads> MakeThreads(const LoadOptions& options, const tf::ConfigProto& config) {
  if (options.threads > 0) return std::make_unique<IntraOpThreads>(options.threads);
  if (config.intra_op_parallelism_threads() != 0) return nullptr;
  return std::make_unique<IntraOpThreads>(DefaultThreads());
}

}  // namespace savedmodel::engine
