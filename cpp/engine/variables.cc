// SPDX-License-Identifier: Apache-2.0
#include "engine/variables.h"

#include <utility>

#include "engine/status.h"
#include "engine/tensors.h"
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

}  // namespace

Tensor ReadVariableValue(tf::Session& session, const tf::DeviceMgr& devices, const TensorSpec& spec,
                         const GraphIndex::Variable& place, const tf::RunOptions& run_options) {
  if (place.reference) return FromTensorFlow(FetchReference(session, spec.name, run_options));
  for (tf::Device* device : devices.ListDevices()) {
    tf::ResourceMgr* resources = device->resource_manager();
    tf::Var* found = nullptr;
    const std::string container = place.container.empty() ? resources->default_container() : place.container;
    if (!resources->Lookup(container, spec.key, &found).ok()) continue;
    tf::core::RefCountPtr<tf::Var> variable(found);
    tf::Tensor value;
    {
      tf::mutex_lock lock(*variable->mu());
      if (!variable->tensor()->IsInitialized() && variable->tensor()->NumElements() > 0) break;
      // Sparse updates change such a variable in place, whoever looks at it.
      const bool copy = variable->copy_on_read_mode.load();
      value = copy ? tf::tensor::DeepCopy(*variable->tensor()) : *variable->tensor();
    }
    const auto* accelerator = device->tensorflow_accelerator_device_info();
    if (accelerator != nullptr && accelerator->default_context != nullptr) {
      tf::Tensor host(value.dtype(), value.shape());
      ThrowIfError(accelerator->default_context->CopyDeviceTensorToCPUSync(&value, spec.key, device, &host));
      value = std::move(host);
    }
    variable.reset();
    return FromTensorFlow(std::move(value));
  }
  throw Error(Code::kFailedPrecondition, "variable '" + spec.key + "' has no value: nothing initialised it");
}

}  // namespace savedmodel::engine
