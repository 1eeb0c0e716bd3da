// SPDX-License-Identifier: Apache-2.0
#include "engine/model/restore.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "engine/base/status.h"
#include "engine/executor/executor.h"
#include "engine/graph/attributes.h"
#include "engine/graph/executable_graph.h"
#include "engine/graph/graph.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/common_runtime/executor.h"
#include "tensorflow/core/common_runtime/local_executor_params.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_handle.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kDone[] = "savedmodel_done";

struct File {
  TensorRef tensor;  // gets the path
  std::string path;
};

// Only the result of kDone comes back.
class Frame : public tf::CallFrameInterface {
 public:
  std::size_t num_args() const override { return 0; }
  std::size_t num_retvals() const override { return 1; }
  absl::Status GetArg(int, const tf::Tensor**) override {
    return absl::InternalError("a restore has no arguments");
  }
  absl::Status SetRetval(int, const tf::Tensor&) override { return absl::OkStatus(); }
};

// Their state lies in the device's resource manager under a name, where the session finds it, or they have
// none.
bool IsKnown(const tf::Node& node) {
  static const auto* const known = new std::set<std::string>{"_Arg",
                                                             "_Retval",
                                                             "Assert",
                                                             "AssignVariableOp",
                                                             "InitializeTableFromTextFileV2",
                                                             "InitializeTableV2",
                                                             "LookupTableImportV2",
                                                             "MergeV2Checkpoints",
                                                             "ReadVariableOp",
                                                             "RestoreV2",
                                                             "VarIsInitializedOp"};
  const bool references =
      std::any_of(node.output_types().begin(), node.output_types().end(), tf::IsRefType) ||
      std::any_of(node.input_types().begin(), node.input_types().end(), tf::IsRefType);
  if (references || node.IsSend() || node.IsRecv() || node.IsCollective()) return false;
  const std::string& op = node.type_string();
  if (!node.op_def().is_stateful() || known->count(op) > 0) return true;
  std::string name;
  tf::TryGetNodeAttr(node.attrs(), "shared_name", &name);
  const bool named = !name.empty() && name != tf::ResourceHandle::ANONYMOUS_NAME;
  return named && (op == "VarHandleOp" || op == "HashTableV2" || op == "MutableHashTableV2");
}

// `graph` with the files' paths in it and a node kDone behind `target`; false if a path can't be put there.
bool Complete(const std::vector<File>& files, const std::string& target, tf::GraphDef* graph) {
  for (const File& file : files) {
    const auto node =
        std::find_if(graph->mutable_node()->begin(), graph->mutable_node()->end(),
                     [&](const tf::NodeDef& other) { return other.name() == file.tensor.node; });
    if (node == graph->mutable_node()->end()) continue;  // not needed
    if (file.tensor.index != 0) return false;
    if (node->op() != "Placeholder" && node->op() != "PlaceholderWithDefault" && node->op() != "Const")
      return false;
    BecomeConst(tf::Tensor(tf::tstring(file.path)), &*node);
  }
  tf::NodeDef* done = graph->add_node();
  done->set_name(kDone);
  BecomeConst(tf::Tensor(std::int32_t{0}), done);
  done->add_input("^" + target);
  return true;
}

// False, before anything has run, if a session has to do it.
bool RunWithoutSession(const tf::SessionOptions& given, const tf::DeviceMgr& devices,
                       const tf::GraphDef& graph, const std::vector<File>& files, const std::string& target,
                       const std::string& what) {
  tf::Device* const device = devices.ListDevices().front();
  tf::SessionOptions options = given;
  auto* graph_options = options.config.mutable_graph_options();
  graph_options->mutable_rewrite_options()->set_disable_meta_optimizer(true);
  graph_options->mutable_optimizer_options()->set_do_function_inlining(true);
  graph_options->mutable_optimizer_options()->set_opt_level(tf::OptimizerOptions::L0);
  ExecutableGraph executable;
  try {
    tf::GraphDef completed = Prune(graph, {}, {target});
    if (!Complete(files, target, &completed)) return false;
    executable = MakeExecutable(completed, {}, {std::string(kDone) + ":0"}, options, devices);
  } catch (const Error&) {  // the session refuses it in its own words
    return false;
  }
  for (const tf::Node* node : executable.graph->op_nodes()) {
    if (!IsKnown(*node)) return false;
  }
  tf::LocalExecutorParams params;
  params.device = device;
  params.function_library = executable.runtime;
  params.create_kernel = [runtime = executable.runtime](
                             const std::shared_ptr<const tf::NodeProperties>& properties,
                             tf::OpKernel** kernel) { return runtime->CreateKernel(properties, kernel); };
  params.delete_kernel = [](tf::OpKernel* kernel) { delete kernel; };
  tf::Executor* made = nullptr;
  ThrowIfError(tf::NewLocalExecutor(params, *executable.graph, &made));
  const std::unique_ptr<tf::Executor> executor(made);
  Frame frame;
  tf::CancellationManager cancellation;
  tf::Executor::Args args;
  args.step_id = NextStepId();
  tf::ScopedStepContainer container(args.step_id, [device](const std::string& name) {
    device->resource_manager()->Cleanup(name).IgnoreError();
  });
  args.step_container = &container;
  args.call_frame = &frame;
  args.cancellation_manager = &cancellation;
  args.runner = [](const tf::Executor::Args::Closure& closure) { closure(); };
  args.run_all_kernels_inline = true;
  ThrowIfError(executor->Run(args), what);
  return true;
}

void RunInSession(const tf::RunOptions& run_options, const std::vector<File>& files,
                  const std::string& target, const std::string& what, tf::Session* session) {
  std::vector<std::pair<std::string, tf::Tensor>> feeds;
  for (const File& file : files) {
    tf::Tensor path(tf::DT_STRING, tf::TensorShape({}));
    path.scalar<tf::tstring>()() = file.path;
    feeds.emplace_back(file.tensor.ToString(), path);
  }
  tf::RunMetadata metadata;
  ThrowIfError(session->Run(run_options, feeds, {}, {target}, nullptr, &metadata), what);
}

}  // namespace

void Restore(const tf::SessionOptions& options, const tf::RunOptions& run_options,
             const tf::MetaGraphDef& meta_graph, const std::string& path,
             std::unique_ptr<tf::Session>* session) {
  const std::string what = "'" + path + "'";
  const tf::DeviceMgr* devices = nullptr;
  ThrowIfError((*session)->LocalDeviceManager(&devices));
  const bool plain = devices->ListDevices().size() == 1 && run_options.ByteSizeLong() == 0 &&
                     options.config.experimental().executor_type().empty() &&
                     options.config.operation_timeout_in_ms() == 0;
  std::string init_op;
  std::vector<tf::AssetFileDef> assets;
  if (plain) {
    ThrowIfError(tf::internal::GetInitOp(path, meta_graph, &init_op), what);
    ThrowIfError(tf::internal::GetAssetFileDefs(meta_graph, &assets), what);
  }
  std::vector<File> files;
  for (const tf::AssetFileDef& asset : assets) {
    files.push_back(
        {TensorRef::Parse(asset.tensor_info().name()), tf::io::JoinPath(path, "assets", asset.filename())});
  }
  const std::string variables = tf::io::JoinPath(path, "variables", "variables");
  const bool restores =
      meta_graph.has_saver_def() && tf::Env::Default()->FileExists(variables + ".index").ok();
  std::vector<File> restored = files;
  if (plain && restores) {
    restored.push_back({TensorRef::Parse(meta_graph.saver_def().filename_tensor_name()), variables});
  }
  const auto run = [&](const std::vector<File>& with, const std::string& op) {
    const std::string target = TensorRef::Parse(op).node;
    if (RunWithoutSession(options, *devices, meta_graph.graph_def(), with, target, what)) return;
    RunInSession(run_options, with, target, what, session->get());
  };
  if (!plain) {
    return ThrowIfError(tf::RestoreSession(run_options, meta_graph, path, session), what);
  }
  LOG(INFO) << "Restoring SavedModel bundle: " << path;
  if (restores) run(restored, meta_graph.saver_def().restore_op_name());
  if (!init_op.empty()) run(files, init_op);
}

}  // namespace savedmodel::engine
