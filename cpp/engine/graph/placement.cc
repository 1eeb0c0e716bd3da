// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/placement.h"

#include <cctype>
#include <memory>
#include <set>
#include <utility>

#include "engine/base/status.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/common_runtime/placer.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/util/device_name_utils.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// `device` may leave out the job, replica and task.
bool SameDevice(const std::string& device, const std::string& full_name) {
  tf::DeviceNameUtils::ParsedName pattern;
  tf::DeviceNameUtils::ParsedName name;
  return tf::DeviceNameUtils::ParseFullOrLocalName(device, &pattern) &&
         tf::DeviceNameUtils::ParseFullName(full_name, &name) &&
         tf::DeviceNameUtils::IsCompleteSpecification(pattern, name);
}

class PlacementCounter {
 public:
  PlacementCounter(const tf::GraphDef& graph, const std::vector<tf::Device*>& devices, bool soft)
      : library_(tf::OpRegistry::Global(), graph.library()), soft_(soft) {
    for (tf::Device* device : devices) {
      devices_.AddDevice(device);
      if (default_ == nullptr || (default_->device_type() != "CPU" && device->device_type() == "CPU")) {
        default_ = device;
      }
    }
    devices_.set_client_device(default_);
  }

  void Count(tf::Graph* graph, const std::string& function, const std::string& caller_device) {
    if (!caller_device.empty()) {
      for (tf::Node* node : graph->op_nodes()) {
        if (node->requested_device().empty()) node->set_requested_device(caller_device);
      }
    }
    tf::Placer placer(graph, function, &library_, &devices_, default_, soft_, false);
    ThrowIfError(placer.Run(), "placement");
    for (const tf::Node* node : graph->op_nodes()) {
      const std::string device = node->assigned_device_name();
      if (!node->IsArg() && !node->IsRetval()) ++counts_[device];
      std::vector<std::string> called = CalledFunctions(node->def());
      if (library_.Contains(node->type_string())) called.push_back(node->type_string());
      for (const std::string& name : called) CountFunction(name, device);
    }
  }
  std::map<std::string, std::int64_t> Take() { return std::move(counts_); }

 private:
  void CountFunction(const std::string& name, const std::string& device) {
    if (!counted_.emplace(name, device).second) return;
    const tf::FunctionDef* definition = library_.Find(name);
    if (definition == nullptr) return;
    std::unique_ptr<tf::FunctionBody> body;
    // A body with type parameters has no placement of its own.
    if (!tf::FunctionDefToBodyHelper(*definition, tf::AttrSlice(), &library_, &body).ok()) return;
    Count(body->graph, name, device);
  }

  tf::FunctionLibraryDefinition library_;
  bool soft_;
  tf::DeviceSet devices_;
  tf::Device* default_ = nullptr;
  std::set<std::pair<std::string, std::string>> counted_;
  std::map<std::string, std::int64_t> counts_;
};

}  // namespace

void CheckDeviceExists(const std::string& device, const tf::SessionOptions& options) {
  std::unique_ptr<tf::Session> session(tf::NewSession(options));
  if (session == nullptr) throw Error(Code::kInternal, "TensorFlow made no session");
  std::vector<tf::DeviceAttributes> devices;
  ThrowIfError(session->ListDevices(&devices));
  session->Close().IgnoreError();
  std::string known;
  for (const tf::DeviceAttributes& existing : devices) {
    if (SameDevice(device, existing.name())) return;
    const std::string& name = existing.name();
    const auto local = name.find("/device:");
    known += (known.empty() ? "" : ", ") + (local == std::string::npos ? name : name.substr(local));
  }
  throw Error(Code::kInvalidArgument, "no device '" + device + "' on this machine; there are: " + known);
}

std::string FullDeviceName(const std::string& device) {
  std::string name = device;
  if (name[0] != '/') {
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    name = "/device:" + name + (name.find(':') == std::string::npos ? ":0" : "");
  }
  tf::DeviceNameUtils::ParsedName parsed;
  if (!tf::DeviceNameUtils::ParseFullOrLocalName(name, &parsed) || !parsed.has_type || !parsed.has_id) {
    throw Error(Code::kInvalidArgument,
                "'" + device + "' is not the name of a device, such as 'cpu', 'gpu:1' or '/device:CPU:1'");
  }
  return tf::DeviceNameUtils::ParsedNameToString(parsed);
}

void AssignDevice(const std::string& device, tf::GraphDef* graph) {
  const auto assign = [&](auto* nodes) {
    for (tf::NodeDef& node : *nodes) {
      if (node.device().empty()) node.set_device(device);
    }
  };
  assign(graph->mutable_node());
  for (tf::FunctionDef& function : *graph->mutable_library()->mutable_function()) {
    assign(function.mutable_node_def());
  }
}

std::map<std::string, std::int64_t> CountPlacement(const tf::GraphDef& graph,
                                                   const std::vector<tf::Device*>& devices,
                                                   bool allow_soft_placement) {
  PlacementCounter counter(graph, devices, allow_soft_placement);
  tf::Graph built(tf::FunctionLibraryDefinition(tf::OpRegistry::Global(), graph.library()));
  tf::GraphConstructorOptions options;
  options.allow_internal_ops = true;
  options.add_default_attributes = true;
  ThrowIfError(tf::ConvertGraphDefToGraph(options, graph, &built), "placement");
  counter.Count(&built, "", "");
  return counter.Take();
}

}  // namespace savedmodel::engine
