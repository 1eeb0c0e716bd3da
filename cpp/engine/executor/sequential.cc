// SPDX-License-Identifier: Apache-2.0
#include "engine/executor/sequential.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "engine/base/packs_input.h"
#include "engine/base/status.h"
#include "engine/executor/empty_window.h"
#include "engine/executor/nested.h"
#include "engine/threads/run_recorder.h"
#include "engine/threads/stop.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/graph/algorithm.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr unsigned kStepsBetweenAsks = 4;

// True for ops that pass a tensor on unchanged.
bool IsAlias(const tf::Node& node) {
  static const auto* const ops = new std::set<std::string>{
      "Identity", "IdentityN", "PlaceholderWithDefault", "PreventGradient", "Snapshot", "StopGradient"};
  return ops->count(node.type_string()) > 0;
}

// The nodes that the results need. For an alias, only the inputs of the outputs that are read: TensorFlow
// leaves an IdentityN of all results in place of an inlined call.
std::unordered_set<const tf::Node*> NeededNodes(const tf::Graph& graph) {
  std::unordered_set<const tf::Node*> needed;
  std::set<std::pair<const tf::Node*, int>> seen;
  std::vector<std::pair<const tf::Node*, int>> pending;
  const auto need = [&](const tf::Edge& edge) {
    if (seen.emplace(edge.src(), edge.src_output()).second)
      pending.emplace_back(edge.src(), edge.src_output());
  };
  for (const tf::Node* node : graph.op_nodes()) {
    if (node->IsRetval()) pending.emplace_back(node, 0);
  }
  while (!pending.empty()) {
    const auto [node, output] = pending.back();
    pending.pop_back();
    const bool all = needed.insert(node).second && !IsAlias(*node);
    for (const tf::Edge* edge : node->in_edges()) {
      if (all || output < 0 || edge->IsControlEdge() || edge->dst_input() == output) need(*edge);
    }
  }
  return needed;
}

int IndexOf(const tf::Node& node) { return static_cast<int>(node.attrs().Find("index")->i()); }

void RunInline(const std::function<void()>& closure) { closure(); }

// The error text of TensorFlow's executors.
absl::Status MissingOutput(const tf::OpKernel& kernel, std::int32_t output) {
  return absl::InternalError(
      absl::StrCat("Missing ", output, "-th output from ", tf::FormatNodeDefForError(kernel.def())));
}

constexpr std::int32_t kUnguarded = -1;
constexpr std::int32_t kUnneeded = 0;  // never read

}  // namespace

// The tensors of one run.
struct SequentialExecutor::Values {
  absl::InlinedVector<tf::Tensor*, 32> tensors;
  absl::InlinedVector<tf::Tensor, 4> guards;
  absl::InlinedVector<tf::TensorValue, 16> arguments;

  bool IsInline(const SequentialExecutor& of) const {
    return of.slot_count_ <= static_cast<std::int32_t>(tensors.capacity()) &&
           of.guard_count_ <= static_cast<std::int32_t>(guards.capacity()) &&
           of.max_inputs_ <= static_cast<std::int32_t>(arguments.capacity());
  }
};

// A run's values. The thread keeps large ones for its next run, to save the allocation.
class SequentialExecutor::Lease {
 public:
  explicit Lease(const SequentialExecutor& executor)
      : feeds_(static_cast<std::size_t>(executor.feed_count_)),
        kept_(here_.IsInline(executor) ? nullptr : Take()) {
    values().tensors.resize(static_cast<std::size_t>(executor.slot_count_), nullptr);
    values().guards.resize(static_cast<std::size_t>(executor.guard_count_));
  }
  ~Lease() {
    Values& used = values();
    for (std::size_t i = feeds_; i < used.tensors.size(); ++i) delete used.tensors[i];
    used.tensors.resize(0);  // clear() would release the memory
    used.guards.resize(0);
    if (kept_ != nullptr) Spare() = std::move(kept_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Values& values() { return kept_ == nullptr ? here_ : *kept_; }

 private:
  static std::unique_ptr<Values>& Spare() {
    thread_local std::unique_ptr<Values> spare;
    return spare;
  }
  static std::unique_ptr<Values> Take() {
    return Spare() == nullptr ? std::make_unique<Values>() : std::move(Spare());
  }

  std::size_t feeds_;  // the first tensors are the caller's
  Values here_;
  std::unique_ptr<Values> kept_;
};

std::unique_ptr<SequentialExecutor> SequentialExecutor::Make(ExecutableGraph* graph, tf::Device* device,
                                                             const ConstantPool* pool,
                                                             StatefulKernels* stateful) {
  const std::unordered_set<const tf::Node*> needed = NeededNodes(*graph->graph);
  std::vector<tf::Node*> order;
  tf::GetReversePostOrder(*graph->graph, &order);
  order.erase(
      std::remove_if(order.begin(), order.end(), [&](tf::Node* node) { return needed.count(node) == 0; }),
      order.end());
  std::unique_ptr<SequentialExecutor> executor(new SequentialExecutor(std::move(*graph), device));
  if (!executor->Plan(order, pool, stateful)) {
    *graph = std::move(executor->graph_);
    return nullptr;
  }
  executor->graph_.graph.reset();  // also frees the second copies of constants in it
  return executor;
}

SequentialExecutor::SequentialExecutor(ExecutableGraph graph, tf::Device* device)
    : graph_(std::move(graph)), device_(device) {}

SequentialExecutor::~SequentialExecutor() = default;

bool SequentialExecutor::Plan(const std::vector<tf::Node*>& order, const ConstantPool* pool,
                              StatefulKernels* stateful) {
  std::unordered_map<const tf::Node*, std::vector<Slot>> slots;  // by output
  std::map<int, Slot> fetches;
  const auto source = [&](const tf::Node* node, int input) {
    const tf::Edge* edge = nullptr;
    ThrowIfError(node->input_edge(input, &edge));
    return slots.at(edge->src())[static_cast<std::size_t>(edge->src_output())];
  };
  for (const tf::Node* node : order) {
    if (node->IsArg()) feed_count_ = std::max(feed_count_, IndexOf(*node) + 1);
  }
  slot_count_ = feed_count_;
  for (const tf::Node* node : order) {
    if (!node->IsOp() || node->type_string() == "NoOp") continue;
    std::vector<Slot>& outputs = slots[node];
    if (node->IsArg()) {
      outputs.push_back(IndexOf(*node));
      continue;
    }
    if (node->IsRetval()) {
      fetches[IndexOf(*node)] = source(node, 0);
      continue;
    }
    if (IsAlias(*node)) {
      for (int i = 0; i < node->num_inputs(); ++i) {
        const tf::Node* input = nullptr;
        ThrowIfError(node->input_node(i, &input));
        outputs.push_back(slots.count(input) > 0 ? source(node, i) : kUnneeded);
      }
      continue;
    }
    if (const tf::Tensor* value = pool == nullptr ? nullptr : pool->Find(node->def()); value != nullptr) {
      AddConstant(*value, &outputs);
      continue;
    }
    Step step{};
    const bool is_nested = Nested::Is(*node);
    tf::OpKernel* made = is_nested ? nullptr : MakeKernel(*node, stateful);
    // An asynchronous kernel waits for something, or runs a function.
    if (is_nested ? !AddNested(*node, stateful, &step) : made->AsAsync() != nullptr) return false;
    uses_container_ = uses_container_ || UsesStepContainer(*node);
    if (!is_nested && node->num_outputs() == 1 && made->const_tensor() != nullptr) {
      const tf::Tensor& value = *made->const_tensor();
      AddConstant(pool == nullptr ? value : pool->Same(value), &outputs);
      if (!kernels_.empty() && kernels_.back().get() == made) kernels_.pop_back();
      continue;
    }
    step.kernel = made;
    if (std::unique_ptr<const EmptyWindow> window = EmptyWindow::Of(node->def()); window != nullptr) {
      step.window = window.get();
      windows_.push_back(std::move(window));
    }
    step.first_input = static_cast<std::int32_t>(inputs_.size());
    step.inputs = node->num_inputs();
    for (int i = 0; i < node->num_inputs(); ++i) inputs_.push_back(source(node, i));
    step.first_output = slot_count_;
    step.outputs = node->num_outputs();
    for (int i = 0; i < node->num_outputs(); ++i) outputs.push_back(slot_count_++);
    max_inputs_ = std::max(max_inputs_, step.inputs);
    const auto widest = static_cast<std::size_t>(std::max(step.inputs, step.outputs));
    attributes_.resize(std::max(attributes_.size(), widest));
    steps_.push_back(step);
  }
  for (const auto& [index, slot] : fetches) fetches_.push_back(slot);
  PlanLifetimes();
  return true;
}

tf::OpKernel* SequentialExecutor::MakeKernel(const tf::Node& node, StatefulKernels* stateful) {
  if (StatefulKernels::Owns(node.def(), node.op_def())) {
    return stateful->Find(device_, node.properties(), graph_.graph->versions().producer());
  }
  tf::OpKernel* made = nullptr;
  ThrowIfError(graph_.runtime->CreateKernel(node.properties(), &made));
  kernels_.emplace_back(made);
  return made;
}

bool SequentialExecutor::AddNested(const tf::Node& node, StatefulKernels* stateful, Step* step) {
  std::unique_ptr<const Nested> nested = Nested::Make(node, graph_, device_, stateful);
  step->nested = nested.get();
  if (nested == nullptr) return false;
  nested_.push_back(std::move(nested));
  return true;
}

void SequentialExecutor::AddConstant(const tf::Tensor& value, std::vector<Slot>* outputs) {
  constants_.push_back(value);
  constant_pins_.push_back(value);
  outputs->push_back(-static_cast<Slot>(constants_.size()));
}

std::optional<std::vector<GraphExecutor::Constant>> SequentialExecutor::Constants() const {
  std::vector<Constant> constants;
  for (const tf::Tensor& value : constants_) constants.push_back({&value, true});
  const auto read = [&](Slot slot) {
    if (slot < 0) constants[static_cast<std::size_t>(-slot - 1)].packed = false;
  };
  for (const Step& step : steps_) {
    const auto* const packs = dynamic_cast<const PacksInput*>(step.kernel);
    for (int i = 0; i < step.inputs; ++i) {
      const bool reads = packs == nullptr || !packs->HasPacked(i);
      if (reads) read(inputs_[static_cast<std::size_t>(step.first_input + i)]);
    }
  }
  for (const Slot slot : fetches_) read(slot);
  for (const auto& nested : nested_) nested->AddConstants(&constants);
  return constants;
}

std::vector<TraceNode> SequentialExecutor::Nodes() const {
  std::vector<TraceNode> nodes;
  for (const Step& step : steps_) nodes.push_back({step.name(), step.op()});
  return nodes;
}

const std::string& SequentialExecutor::Step::name() const {
  return nested == nullptr ? kernel->name() : nested->name();
}

const std::string& SequentialExecutor::Step::op() const {
  return nested == nullptr ? kernel->type_string() : nested->op();
}

// A kernel may overwrite an input that nothing else holds. A value that is read again later gets a second
// holder, a guard, until its last reader's turn.
void SequentialExecutor::PlanLifetimes() {
  struct Use {
    int reads = 0;
    int last_step = -1;
    int last_reads = 0;  // reads by the last step
    bool fetched = false;
  };
  std::vector<Use> uses(static_cast<std::size_t>(slot_count_));
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    for (std::int32_t i = 0; i < steps_[s].outputs; ++i) {
      uses[static_cast<std::size_t>(steps_[s].first_output + i)].last_step = static_cast<int>(s);
    }
    for (std::int32_t i = 0; i < steps_[s].inputs; ++i) {
      const Slot slot = inputs_[static_cast<std::size_t>(steps_[s].first_input + i)];
      if (slot < 0) continue;
      Use& use = uses[static_cast<std::size_t>(slot)];
      use.last_reads = use.last_step == static_cast<int>(s) ? use.last_reads + 1 : 1;
      use.last_step = static_cast<int>(s);
      ++use.reads;
    }
  }
  for (const Slot slot : fetches_) {
    if (slot >= 0) uses[static_cast<std::size_t>(slot)].fetched = true;
    fetch_is_last_.push_back(slot >= feed_count_ && std::count(fetches_.begin(), fetches_.end(), slot) == 1);
  }
  for (const Use& use : uses) required_.push_back(use.reads > 0 || use.fetched);
  guard_of_.assign(static_cast<std::size_t>(slot_count_), kUnguarded);
  std::vector<std::vector<Slot>> unguards(steps_.size());
  std::vector<std::vector<Slot>> releases(steps_.size());
  for (Slot slot = 0; slot < slot_count_; ++slot) {
    const Use& use = uses[static_cast<std::size_t>(slot)];
    const bool is_feed = slot < feed_count_;
    if (use.reads + (use.fetched ? 1 : 0) > 1) {
      guard_of_[static_cast<std::size_t>(slot)] = guard_count_++;
      if (!use.fetched && use.last_reads == 1) {
        unguards[static_cast<std::size_t>(use.last_step)].push_back(
            guard_of_[static_cast<std::size_t>(slot)]);
      }
    }
    if (!is_feed && !use.fetched) releases[static_cast<std::size_t>(use.last_step)].push_back(slot);
  }
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    steps_[s].first_unguard = static_cast<std::int32_t>(unguards_.size());
    steps_[s].unguards = static_cast<std::int32_t>(unguards[s].size());
    unguards_.insert(unguards_.end(), unguards[s].begin(), unguards[s].end());
    steps_[s].first_release = static_cast<std::int32_t>(releases_.size());
    steps_[s].releases = static_cast<std::int32_t>(releases[s].size());
    releases_.insert(releases_.end(), releases[s].begin(), releases[s].end());
  }
}

void SequentialExecutor::Keep(std::size_t slot, tf::Tensor* result, Values* values) const {
  values->tensors[slot] = result;
  if (guard_of_[slot] != kUnguarded) values->guards[static_cast<std::size_t>(guard_of_[slot])] = *result;
}

void SequentialExecutor::RunNested(const Step& step, tf::OpKernelContext::Params* params,
                                   Values* values) const {
  std::vector<tf::Tensor> inputs, outputs;
  for (std::int32_t i = 0; i < step.inputs; ++i) {
    const Slot slot = inputs_[static_cast<std::size_t>(step.first_input + i)];
    inputs.push_back(slot < 0 ? constants_[static_cast<std::size_t>(-slot - 1)]
                              : *values->tensors[static_cast<std::size_t>(slot)]);
  }
  step.nested->Run(params, std::move(inputs), &outputs);
  params->function_library = graph_.runtime;
  params->output_attr_array = attributes_.data();
  for (std::int32_t i = 0; i < step.outputs; ++i) {
    Keep(static_cast<std::size_t>(step.first_output + i),
         new tf::Tensor(std::move(outputs[static_cast<std::size_t>(i)])), values);
  }
}

void SequentialExecutor::Compute(const Step& step, tf::OpKernelContext::Params* params,
                                 Values* values) const {
  values->arguments.resize(static_cast<std::size_t>(step.inputs));
  for (std::int32_t i = 0; i < step.inputs; ++i) {
    const Slot slot = inputs_[static_cast<std::size_t>(step.first_input + i)];
    values->arguments[static_cast<std::size_t>(i)].tensor =
        slot < 0 ? const_cast<tf::Tensor*>(&constants_[static_cast<std::size_t>(-slot - 1)])
                 : values->tensors[static_cast<std::size_t>(slot)];
  }
  params->op_kernel = step.kernel;
  params->inputs = absl::MakeSpan(values->arguments);
  if (step.window != nullptr) {
    const auto first = required_.begin() + step.first_output;
    const bool others = std::any_of(first + 1, first + step.outputs, [](bool required) { return required; });
    if (const auto shape = others ? std::nullopt : step.window->Result(params->inputs)) {
      Keep(static_cast<std::size_t>(step.first_output), new tf::Tensor(step.kernel->output_type(0), *shape),
           values);
      return;
    }
  }
  params->input_alloc_attrs = absl::MakeSpan(attributes_.data(), static_cast<std::size_t>(step.inputs));
  tf::OpKernelContext context(params, step.outputs);
  device_->Compute(step.kernel, &context);
  if (!context.status().ok()) ThrowIfError(tf::AttachDef(context.status(), step.kernel->def()));
  for (std::int32_t i = 0; i < step.outputs; ++i) {
    const auto slot = static_cast<std::size_t>(step.first_output + i);
    tf::Tensor* result = context.release_output(i).tensor;
    if (result == nullptr) {  // an output without a reader may be missing
      if (required_[slot]) ThrowIfError(MissingOutput(*step.kernel, i));
      continue;
    }
    Keep(slot, result, values);
  }
}

void SequentialExecutor::Run(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                             tf::CancellationManager* cancellation) const {
  static auto* const runner = new std::function<void(std::function<void()>)>(RunInline);
  tf::OpKernelContext::Params params;
  params.step_id = NextStepId();
  std::optional<tf::ScopedStepContainer> container;
  if (uses_container_) {
    container.emplace(params.step_id, [this](const std::string& name) {
      device_->resource_manager()->Cleanup(name).IgnoreError();
    });
    params.step_container = &*container;
  }
  params.device = device_;
  params.resource_manager = device_->resource_manager();
  params.cancellation_manager = cancellation;
  params.runner = runner;
  params.run_all_kernels_inline = true;
  if (RunRecorder* recorder = RunRecorder::OfThread(); recorder != nullptr) recorder->Start();
  RunIn(&params, feeds, fetched);
}

void SequentialExecutor::RunIn(tf::OpKernelContext::Params* params, const std::vector<tf::Tensor>& feeds,
                               std::vector<tf::Tensor>* fetched) const {
  Lease lease(*this);
  Values& values = lease.values();
  for (std::int32_t i = 0; i < feed_count_; ++i) {
    const auto feed = static_cast<std::size_t>(i);
    values.tensors[feed] = const_cast<tf::Tensor*>(&feeds[feed]);
    if (guard_of_[feed] != kUnguarded) values.guards[static_cast<std::size_t>(guard_of_[feed])] = feeds[feed];
  }
  params->function_library = graph_.runtime;
  params->output_attr_array = attributes_.data();
  RunningCall* const call = RunningCall::OfThread();
  RunRecorder* const recorder = RunRecorder::OfThread();
  unsigned done = 0;
  for (const Step& step : steps_) {
    if (params->cancellation_manager->IsCancelled() ||
        (call != nullptr && ++done % kStepsBetweenAsks == 0 && call->IsInterrupted())) {
      throw Error(Code::kCancelled, "the run was cancelled");
    }
    for (std::int32_t i = 0; i < step.unguards; ++i) {
      const Slot guard = unguards_[static_cast<std::size_t>(step.first_unguard + i)];
      values.guards[static_cast<std::size_t>(guard)] = tf::Tensor();
    }
    if (recorder != nullptr) recorder->Begin(step.name(), step.op());
    step.nested == nullptr ? Compute(step, params, &values) : RunNested(step, params, &values);
    for (std::int32_t i = 0; i < step.releases; ++i) {
      const Slot slot = releases_[static_cast<std::size_t>(step.first_release + i)];
      delete std::exchange(values.tensors[static_cast<std::size_t>(slot)], nullptr);
    }
    if (recorder != nullptr) recorder->End(step.name(), step.op());
  }
  if (params->cancellation_manager->IsCancelled()) throw Error(Code::kCancelled, "the run was cancelled");
  fetched->clear();
  for (std::size_t i = 0; i < fetches_.size(); ++i) {
    if (fetches_[i] < 0) {
      fetched->push_back(constants_[static_cast<std::size_t>(-fetches_[i] - 1)]);
    } else if (tf::Tensor* value = values.tensors[static_cast<std::size_t>(fetches_[i])]; fetch_is_last_[i]) {
      fetched->push_back(std::move(*value));
    } else {
      fetched->push_back(*value);
    }
  }
}

}  // namespace savedmodel::engine
