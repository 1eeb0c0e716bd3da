// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/variables.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/base/tensors.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/framework/device_base.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/framework/tensor_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// A v1 variable has its value behind a reference that only a run can follow.
tf::Tensor FetchReference(tf::Session& session, const std::string& node, const tf::RunOptions& run_options) {
  tf::CallableOptions options;
  options.add_fetch(node + ":0");
  *options.mutable_run_options() = run_options;
  tf::Session::CallableHandle handle = 0;
  ThrowIfError(session.MakeCallable(options, &handle), "variable '" + node + "'");
  std::vector<tf::Tensor> fetched;
  const absl::Status status = session.RunCallable(handle, {}, &fetched, nullptr);
  session.ReleaseCallable(handle).IgnoreError();
  ThrowIfError(status, "variable '" + node + "'");
  return tf::tensor::DeepCopy(fetched[0]);
}

tf::core::RefCountPtr<tf::Var> LookUp(tf::Device* device, const std::string& container,
                                      const std::string& name) {
  tf::ResourceMgr* resources = device->resource_manager();
  tf::Var* found = nullptr;
  const std::string& in = container.empty() ? resources->default_container() : container;
  return tf::core::RefCountPtr<tf::Var>(resources->Lookup(in, name, &found).ok() ? found : nullptr);
}

}  // namespace

std::optional<tf::Tensor> FindVariable(tf::Device* device, const std::string& container,
                                       const std::string& name, bool* in_place) {
  const tf::core::RefCountPtr<tf::Var> variable = LookUp(device, container, name);
  if (variable == nullptr) return std::nullopt;
  const tf::mutex_lock lock(*variable->mu());
  if (!variable->tensor()->IsInitialized() && variable->tensor()->NumElements() > 0) return std::nullopt;
  *in_place = variable->copy_on_read_mode.load();
  return *in_place ? tf::tensor::DeepCopy(*variable->tensor()) : *variable->tensor();
}

std::pair<const void*, std::size_t> BytesOfVariable(tf::Device* device, const std::string& container,
                                                    const std::string& name) {
  const tf::core::RefCountPtr<tf::Var> variable = LookUp(device, container, name);
  if (variable == nullptr) return {};
  const tf::mutex_lock lock(*variable->mu());
  return {variable->tensor()->data(), variable->tensor()->TotalBytes()};
}

void FreeVariable(tf::Device* device, const std::string& container, const std::string& name) {
  const tf::core::RefCountPtr<tf::Var> variable = LookUp(device, container, name);
  if (variable == nullptr) return;
  const tf::mutex_lock lock(*variable->mu());
  FreePages(std::exchange(*variable->tensor(), tf::Tensor()));
}

Tensor ReadVariableValue(tf::Session& session, const tf::DeviceMgr& devices, const TensorSpec& spec,
                         const GraphIndex::Variable& place, const tf::RunOptions& run_options) {
  if (place.reference) return FromTensorFlow(FetchReference(session, spec.name, run_options));
  for (tf::Device* device : devices.ListDevices()) {
    bool in_place = false;
    std::optional<tf::Tensor> found = FindVariable(device, place.container, place.name, &in_place);
    if (!found) continue;
    tf::Tensor value = std::move(*found);
    found.reset();  // a second holder would make a copy read-only
    const auto* accelerator = device->tensorflow_accelerator_device_info();
    if (accelerator != nullptr && accelerator->default_context != nullptr) {
      tf::Tensor host(value.dtype(), value.shape());
      ThrowIfError(accelerator->default_context->CopyDeviceTensorToCPUSync(&value, spec.key, device, &host));
      value = std::move(host);
    }
    return FromTensorFlow(std::move(value));
  }
  throw Error(Code::kFailedPrecondition, "variable '" + spec.key + "' has no value: nothing initialised it");
}

}  // namespace savedmodel::engine
