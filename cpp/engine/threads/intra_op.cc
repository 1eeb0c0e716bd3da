// SPDX-License-Identifier: Apache-2.0
#define EIGEN_USE_THREADS

#include "engine/threads/intra_op.h"

#include "engine/base/status.h"
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

namespace {

tf::thread::ThreadPoolInterface* Either(ForkJoinPool* own, ServicePool* service) {
  if (own != nullptr) return own;
  return service;
}

}  // namespace

IntraOpThreads::IntraOpThreads(int threads)
    : IntraOpThreads(std::make_unique<ForkJoinPool>(threads), nullptr) {}

IntraOpThreads::IntraOpThreads(ThreadPool* pool)
    : IntraOpThreads(nullptr, std::make_unique<ServicePool>(pool)) {}

IntraOpThreads::IntraOpThreads(std::unique_ptr<ForkJoinPool> own, std::unique_ptr<ServicePool> service)
    : own_(std::move(own)),
      service_(std::move(service)),
      wrapped_(Either(own_.get(), service_.get())),
      workers_(std::make_unique<Workers>()) {
  tf::thread::ThreadPoolInterface* pool = Either(own_.get(), service_.get());
  workers_->cpu.num_threads = pool->NumThreads();
  workers_->cpu.workers = &wrapped_;
  workers_->eigen = std::make_unique<Eigen::ThreadPoolDevice>(pool, pool->NumThreads());
}

IntraOpThreads::~IntraOpThreads() = default;

void IntraOpThreads::UseFor(const tf::DeviceMgr& devices) {
  for (tf::Device* device : devices.ListDevices()) {
    if (device->device_type() != tf::DEVICE_CPU) continue;
    device->set_tensorflow_cpu_worker_threads(&workers_->cpu);
    // Appended after the shared pool's device; kernels use the last one.
    device->set_eigen_cpu_device(workers_->eigen.get());
  }
}

IntraOpThreads::Run::Run(IntraOpThreads* threads, bool kernels_here) {
  if (threads == nullptr) return;
  if (threads->own_ != nullptr && threads->own_->NumThreads() > 1) call_.emplace(threads->own_->fork_join());
  if (threads->service_ != nullptr) in_service_.emplace(threads->service_.get(), kernels_here);
}

std::unique_ptr<IntraOpThreads> MakeThreads(const LoadOptions& options, const tf::ConfigProto& config) {
  if (options.thread_pool != nullptr) return std::make_unique<IntraOpThreads>(options.thread_pool.get());
  if (options.threads > 0) return std::make_unique<IntraOpThreads>(options.threads);
  if (config.intra_op_parallelism_threads() != 0) return nullptr;
  return std::make_unique<IntraOpThreads>(DefaultThreads());
}

}  // namespace savedmodel::engine
