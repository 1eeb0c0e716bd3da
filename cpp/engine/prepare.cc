// SPDX-License-Identifier: Apache-2.0
#include "engine/prepare.h"

#include <exception>
#include <optional>
#include <utility>

#include "engine/optimize/optimize.h"
#include "engine/optimize/variable_use.h"
#include "engine/status.h"
#include "engine/variables.h"
#include "tensorflow/core/common_runtime/device_mgr.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// The value of a variable that keeps it between writes; false if it has none, or is updated in place.
bool ValueOf(const tf::NodeDef& handle, tf::Device* device, tf::Tensor* value) {
  const auto container = handle.attr().find("container");
  bool in_place = false;
  std::optional<tf::Tensor> found =
      FindVariable(device, container == handle.attr().end() ? "" : container->second.s(),
                   handle.attr().at("shared_name").s(), &in_place);
  if (!found || in_place || !found->IsInitialized()) return false;
  *value = std::move(*found);
  return true;
}

std::unique_ptr<GraphExecutor> MakeFrom(const tf::GraphDef& graph, const std::vector<std::string>& feeds,
                                        const std::vector<std::string>& fetches,
                                        const tf::SessionOptions& options, const tf::DeviceMgr& devices,
                                        const ConstantPool* pool, OptimizationReport* report) {
  std::string why_not;
  std::unique_ptr<GraphExecutor> executor = MakeExecutor(
      MakeExecutable(graph, feeds, fetches, options, devices), devices.ListDevices().front(), pool, &why_not);
  if (executor == nullptr) {
    report->why_not = "it has to run in a session, for " + why_not;
    return nullptr;
  }
  report->executor = executor->name();
  return executor;
}

// Throws Error where the graph can't be optimized.
std::unique_ptr<GraphExecutor> MakeOptimized(SharedSession* shared, const FunctionGraph& function,
                                             const tf::DeviceMgr& devices, OptimizationReport* report) {
  IsolatedGraph isolated =
      Isolate(shared->graph_def, function.feeds, function.feed_types, function.fetches, function.fetch_types);
  std::set<std::string> written = WrittenVariables(isolated.graph, isolated.fetches);
  written.insert(shared->written.begin(), shared->written.end());
  tf::Device* device = devices.ListDevices().front();
  const auto value = [&](const tf::NodeDef& handle, tf::Tensor* tensor) {
    const std::string key = VariableKey(handle);
    return !key.empty() && written.count(key) == 0 && !shared->thawed && ValueOf(handle, device, tensor);
  };
  ConstantPool pool;
  tf::DeviceSet device_set;
  device_set.AddDevice(device);
  device_set.set_client_device(device);
  OptimizeGraph(shared->options, device_set, shared->optimize == Optimize::kBf16, value, &pool, &isolated,
                report);
  return MakeFrom(isolated.graph, isolated.feeds, isolated.fetches, shared->optimized_options, devices, &pool,
                  report);
}

}  // namespace

const GraphExecutor* PrepareExecutor(SharedSession* shared, const FunctionGraph& function,
                                     OptimizationReport* report) {
  report->executor = "session";
  if (!shared->own_executors) {
    report->why_not = "the model has options, devices or ops that only a session respects";
    return nullptr;
  }
  const std::lock_guard<std::mutex> lock(shared->mutex);
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError(shared->session->LocalDeviceManager(&devices));
  // Runs of this function may write what others have as a constant.
  for (const std::string& key : WrittenVariables(shared->graph_def, function.fetches)) {
    if (shared->written.count(key) == 0) shared->thawed = true;
  }
  std::unique_ptr<GraphExecutor> executor;
  if (shared->optimize == Optimize::kNone) {
    report->why_not = "the model was loaded so";
  } else {
    try {
      OptimizationReport done = *report;
      executor = MakeOptimized(shared, function, *devices, &done);
      if (executor != nullptr) *report = std::move(done);
      if (executor == nullptr) report->why_not = std::move(done.why_not);
      report->optimized = executor != nullptr;
    } catch (const std::exception& error) {  // a call must not fail for the optimizer
      report->why_not = error.what();
    }
  }
  if (executor == nullptr) {
    try {
      executor = MakeFrom(shared->graph_def, function.feeds, function.fetches, shared->options, *devices,
                          nullptr, report);
    } catch (const std::exception&) {
      return nullptr;  // the session refuses the same, in its words
    }
  }
  if (executor == nullptr) return nullptr;
  const GraphExecutor* made = executor.get();
  shared->executors.emplace(made, std::move(executor));
  return made;
}

}  // namespace savedmodel::engine
