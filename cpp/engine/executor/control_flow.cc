// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/control_flow.h"

#include <atomic>
#include <forward_list>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "engine/graph/calls.h"
#include "engine/graph/graph.h"
#include "engine/threads/run_recorder.h"
#include "engine/threads/stop.h"
#include "tensorflow/core/common_runtime/local_executor_params.h"
#include "tensorflow/core/common_runtime/step_stats_collector.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/rendezvous.h"
#include "tensorflow/core/framework/resource_mgr.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

class Frame : public tf::CallFrameInterface {
 public:
  Frame(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched)
      : feeds_(feeds), fetched_(fetched) {}
  std::size_t num_args() const override { return feeds_.size(); }
  std::size_t num_retvals() const override { return fetched_->size(); }
  absl::Status GetArg(int index, const tf::Tensor** value) override {
    *value = &feeds_[static_cast<std::size_t>(index)];
    return absl::OkStatus();
  }
  absl::Status SetRetval(int index, const tf::Tensor& value) override {
    (*fetched_)[static_cast<std::size_t>(index)] = value;
    ++set_;
    return absl::OkStatus();
  }

  bool complete() const { return set_ == fetched_->size(); }

 private:
  std::atomic<std::size_t> set_{0};
  const std::vector<tf::Tensor>& feeds_;
  std::vector<tf::Tensor>* fetched_;
};

// TensorFlow's executor reports every node to it. Checks for an interrupt, and records nodes for a trace;
// those that functions run in other threads are parts of the node that calls.
class Observer : public tf::StepStatsCollectorInterface {
 public:
  // `call` and `recorder` may be null.
  Observer(RunningCall* call, tf::CancellationManager* run, RunRecorder* recorder)
      : call_(call), run_(run), recorder_(recorder) {}
  tf::NodeExecStatsInterface* CreateNodeExecStats(const tf::NodeDef* node) override {
    if (call_ != nullptr && ++nodes_ % kNodesBetweenAsks == 0 && call_->IsInterrupted()) run_->StartCancel();
    if (recorder_ == nullptr || RunRecorder::OfThread() != recorder_) return nullptr;
    return &recorded_.emplace_front(recorder_, *node);
  }
  bool observes() const { return call_ != nullptr || recorder_ != nullptr; }
  std::string ReportAllocsOnResourceExhausted(absl::string_view) override { return ""; }

 private:
  class Node : public tf::NodeExecStatsInterface {
   public:
    Node(RunRecorder* recorder, const tf::NodeDef& node)
        : recorder_(recorder), name_(recorder->Keep(node.name())), op_(recorder->Keep(node.op())) {}
    void RecordComputeStarted() override { recorder_->Begin(name_, op_); }
    void Done(const std::string&) override {
      if (RunRecorder::OfThread() == recorder_) recorder_->End(name_, op_);
    }
    void RecordExecutorStarted() override {}
    void RecordComputeEnded() override {}
    void RecordExecutorEnded() override {}
    bool TrackAllocations() const override { return false; }
    void SetMemory(tf::OpKernelContext*) override {}
    void SetOutput(int, const tf::Tensor*) override {}
    void SetScheduled(std::int64_t) override {}

   private:
    RunRecorder* recorder_;
    const std::string& name_;
    const std::string& op_;
  };

  static constexpr unsigned kNodesBetweenAsks = 4;
  RunningCall* call_;
  tf::CancellationManager* run_;
  RunRecorder* recorder_;
  unsigned nodes_ = 0;
  std::forward_list<Node> recorded_;  // by the run's own thread; allocates nothing while empty
};

}  // namespace

ControlFlowExecutor::ControlFlowExecutor(ExecutableGraph graph, tf::Device* device, const ConstantPool* pool,
                                         StatefulKernels* stateful)
    : graph_(std::move(graph)), device_(device) {
  for (const tf::Node* node : graph_.graph->op_nodes()) {
    fetches_ += node->IsRetval() ? 1 : 0;
    calls_ = calls_ || node->IsFunctionCall() || !CalledFunctions(node->def()).empty();
  }
  tf::LocalExecutorParams params;
  params.device = device;
  params.function_library = graph_.runtime;
  params.create_kernel =
      [runtime = graph_.runtime, pool, stateful, device, version = graph_.graph->versions().producer()](
          const std::shared_ptr<const tf::NodeProperties>& properties, tf::OpKernel** kernel) {
        if (StatefulKernels::Owns(properties->node_def, *properties->op_def)) {
          *kernel = stateful->Find(device, properties, version);
          return absl::OkStatus();
        }
        const tf::Tensor* value = pool == nullptr ? nullptr : pool->Find(properties->node_def);
        if (value == nullptr) return runtime->CreateKernel(properties, kernel);
        auto filled = std::make_shared<tf::NodeProperties>(*properties);
        value->AsProtoTensorContent((*filled->node_def.mutable_attr())["value"].mutable_tensor());
        return runtime->CreateKernel(filled, kernel);
      };
  params.delete_kernel = [stateful](tf::OpKernel* kernel) {
    if (!stateful->Holds(kernel)) delete kernel;
  };
  tf::Executor* executor = nullptr;
  ThrowIfError(tf::NewLocalExecutor(params, *graph_.graph, &executor));
  executor_.reset(executor);
  graph_.graph.reset();
}

void ControlFlowExecutor::Run(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                              tf::CancellationManager* cancellation) const {
  fetched->assign(static_cast<std::size_t>(fetches_), tf::Tensor());
  Frame frame(feeds, fetched);
  tf::CancellationManager of_this_run(cancellation);
  tf::Executor::Args args;
  args.step_id = NextStepId();
  tf::ScopedStepContainer container(args.step_id, [this](const std::string& name) {
    device_->resource_manager()->Cleanup(name).IgnoreError();
  });
  args.step_container = &container;
  tf::core::RefCountPtr<tf::Rendezvous> rendezvous;
  if (calls_) {
    rendezvous.reset(tf::NewLocalRendezvous());
    args.rendezvous = rendezvous.get();
  }
  args.call_frame = &frame;
  args.cancellation_manager = &of_this_run;
  args.runner = [](const tf::Executor::Args::Closure& closure) { closure(); };
  args.run_all_kernels_inline = true;
  Observer observer(RunningCall::OfThread(), &of_this_run, RunRecorder::OfThread());
  if (observer.observes()) args.stats_collector = &observer;
  if (RunRecorder* recorder = RunRecorder::OfThread(); recorder != nullptr) recorder->Start();
  ThrowIfError(executor_->Run(args));
  if (!frame.complete()) {
    throw Error(Code::kInvalidArgument, "a result has no value: it lies in a branch that was not taken");
  }
}

}  // namespace savedmodel::engine
