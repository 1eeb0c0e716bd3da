// SPDX-License-Identifier: Apache-2.0
#include "engine/model/function.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "engine/base/cancellation.h"
#include "engine/base/options.h"
#include "engine/base/status.h"
#include "engine/base/tensors.h"
#include "engine/base/trace.h"
#include "engine/graph/plan.h"
#include "engine/model/fallback.h"
#include "engine/model/prepare.h"
#include "engine/threads/float_mode.h"
#include "engine/threads/run_recorder.h"
#include "engine/threads/stop.h"
#include "savedmodel/interrupt.h"
#include "tensorflow/core/framework/tensor_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// By tensor name; most tensors that are looked at so are looked at once. So many runs of the graph as it was
// loaded take about as long as it takes to optimize it.
constexpr int kRunsUnoptimized = 9;

// Runs that have TensorFlow's options go through Session::Run, which takes options per call; a callable would
// have to be made for each.
bool NeedsRunOptions(const RunOptions* options) { return options != nullptr && !options->proto.empty(); }

bool HasTimeout(const RunOptions* options) { return options != nullptr && options->timeout; }

// Feeds and fetches of one run. A thread keeps the vectors for its next, for what they cost is their
// allocation, and so it does with the idle buffers of inputs that were borrowed.
class Scratch {
 public:
  Scratch(std::size_t feed_count, std::atomic<bool>* kept_an_input)
      : kept_an_input_(kept_an_input), kept_(Kept()), lent_(!kept_.lent) {
    if (lent_) {
      kept_.lent = true;
      feeds.swap(kept_.feeds);
      fetched.swap(kept_.fetched);
    }
    feeds.resize(feed_count);
  }
  ~Scratch() {
    fetched.clear();
    // The graph did not tell (InputKeeper), and yet somebody holds the caller's array: copy from now on.
    for (tf::Tensor& feed : feeds) {
      if (EndFeed(&feed)) *kept_an_input_ = true;
    }
    if (!lent_) return;
    feeds.swap(kept_.feeds);
    fetched.swap(kept_.fetched);
    kept_.lent = false;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::vector<tf::Tensor> feeds;
  std::vector<tf::Tensor> fetched;

 private:
  struct Vectors {
    std::vector<tf::Tensor> feeds;
    std::vector<tf::Tensor> fetched;
    bool lent = false;
  };
  static Vectors& Kept() {
    thread_local Vectors vectors;
    return vectors;
  }
  std::atomic<bool>* kept_an_input_;
  Vectors& kept_;
  bool lent_;
};

class CallableFunction : public internal::EngineFunction {
 public:
  CallableFunction(std::shared_ptr<SharedSession> shared, Callee callee, bool ad_hoc)
      : shared_(std::move(shared)),
        call_(std::move(callee.call)),
        label_(std::move(callee.label)),
        inputs_(std::move(callee.inputs)),
        outputs_(std::move(callee.outputs)),
        plan_(call_ == nullptr ? shared_->index() : call_->index, label_, &inputs_, &outputs_,
              callee.targets) {
    executor_ = Prepare(!ad_hoc, &at_first_);
    const bool may_gain =
        ad_hoc && shared_->settings.own_executors && shared_->settings.optimize != Optimize::kNone;
    if (may_gain && !at_first_->report().optimized) unoptimized_runs_ = kRunsUnoptimized + 1;
  }
  ~CallableFunction() override {
    shared_->Release(nullptr, callable_);
    for (const std::optional<Fallback>* made : {&at_first_, &repeated_}) {
      if (!*made) continue;
      shared_->Release((*made)->first(), std::nullopt);
      shared_->Release((*made)->plain(), std::nullopt);
    }
  }

  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  const std::string& copies_inputs_because() const override {
    static const std::string* kept = new std::string("an earlier run kept one of its inputs");
    return plan_.copies_because.empty() && kept_an_input_ ? *kept : plan_.copies_because;
  }
  OptimizationReport optimization() const override { return executor_.load()->report(); }
  void Run(const Tensor* inputs, Tensor* outputs, bool into, const RunOptions* options,
           Trace* trace) override;

 private:
  tf::Session& Session() const { return call_ == nullptr ? shared_->session() : shared_->Extended(*call_); }
  Fallback* Prepare(bool optimize, std::optional<Fallback>* made);
  Fallback& Executor();
  tf::Session::CallableHandle Callable();
  void CheckSharedFeeds(const Tensor* inputs) const;
  void RunSession(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                  const RunOptions* options, Trace* trace) const;
  void Feed(const Tensor* inputs, std::vector<tf::Tensor>* feeds) const;
  void RunCallable(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                   const RunOptions* options, Trace* trace);
  // `run` takes the run's CancellationManager.
  template <typename RunIt>
  void RunCancellable(const RunOptions* options, const RunIt& run) const;
  void RunExecutor(Fallback* executors, const GraphExecutor& executor, const Tensor* inputs,
                   std::vector<tf::Tensor>* feeds, std::vector<tf::Tensor>* fetched,
                   const RunOptions* options, Trace* trace);
  [[gnu::noinline]] Trace TraceOf(const RunRecorder& recorder, const Fallback& executors,
                                  const GraphExecutor& executor);
  bool Aliases(const tf::Tensor& result, const std::vector<tf::Tensor>& feeds) const;
  void Deliver(const Tensor* inputs, bool into, std::vector<tf::Tensor>* feeds,
               std::vector<tf::Tensor>* fetched, std::vector<tf::Tensor>* fed, Tensor* outputs) const;
  void CheckShape(std::size_t output, const tf::Tensor& result, const Tensor& buffer) const;

  std::shared_ptr<SharedSession> shared_;
  std::shared_ptr<const CallGraph> call_;
  std::string label_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  CallPlan plan_;
  std::atomic<bool> kept_an_input_{false};
  std::optional<Fallback> at_first_;
  std::optional<Fallback> repeated_;      // of a function by tensor name that is run again and again
  std::atomic<int> unoptimized_runs_{0};  // left until then
  std::atomic<Fallback*> executor_{nullptr};
  std::mutex callable_mutex_;
  std::mutex origins_mutex_;
  std::map<const GraphExecutor*, Origins> origins_;  // by executor that was traced
  std::optional<tf::Session::CallableHandle> callable_;
};

Fallback* CallableFunction::Prepare(bool optimize, std::optional<Fallback>* made) {
  OptimizationReport report;
  report.function = label_;
  const GraphExecutor* executor = nullptr;
  // Else there is nothing to run: all outputs are inputs.
  const bool runs = plan_.graph.runs();
  if (runs) executor = PrepareExecutor(shared_.get(), call_.get(), plan_.graph, optimize, &report);
  const auto plain = [this, bare = !report.optimized](OptimizationReport* of) {
    return PreparePlain(shared_.get(), call_.get(), plan_.graph, bare, of);
  };
  made->emplace(executor, std::move(report), plain, shared_->settings.convolves);
  if (runs && executor == nullptr) Callable();
  return &**made;
}

// One caller optimizes, while others go on with what there is.
Fallback& CallableFunction::Executor() {
  if (unoptimized_runs_.load(std::memory_order_relaxed) > 0 && unoptimized_runs_.fetch_sub(1) == 1) {
    try {
      executor_ = Prepare(true, &repeated_);
    } catch (const Error&) {  // what has run so far goes on
    }
  }
  return *executor_.load(std::memory_order_acquire);
}

tf::Session::CallableHandle CallableFunction::Callable() {
  std::lock_guard<std::mutex> lock(callable_mutex_);
  if (callable_) return *callable_;
  tf::CallableOptions options;
  for (const std::string& feed : plan_.graph.feeds) options.add_feed(feed);
  for (const std::string& fetch : plan_.graph.fetches) options.add_fetch(fetch);
  for (const std::string& target : plan_.graph.targets) options.add_target(target);
  *options.mutable_run_options() = shared_->settings.run_options;
  tf::Session::CallableHandle handle;
  ThrowIfError(Session().MakeCallable(options, &handle), label_);
  callable_ = handle;
  return handle;
}

void CallableFunction::CheckSharedFeeds(const Tensor* inputs) const {
  for (const auto& [first, second] : plan_.same_feeds) {
    if (SameValue(inputs[first], inputs[second])) continue;
    throw UsageError(UsageError::Kind::kValue, label_ + ": the inputs '" + inputs_[first].key + "' and '" +
                                                   inputs_[second].key + "' are one tensor of the graph (" +
                                                   inputs_[first].name + "), but got different values");
  }
}

void CallableFunction::RunSession(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                                  const RunOptions* options, Trace* trace) const {
  tf::RunOptions merged =
      MakeRunOptions(options == nullptr ? RunOptions() : *options, shared_->settings.run_options);
  if (trace != nullptr) merged.set_trace_level(tf::RunOptions::FULL_TRACE);
  // A run in the caller's thread can't be interrupted.
  if (merged.timeout_in_ms() > 0 && merged.inter_op_thread_pool() < 0) merged.set_inter_op_thread_pool(0);
  std::vector<std::pair<std::string, tf::Tensor>> named;
  for (std::size_t i = 0; i < feeds.size(); ++i) named.emplace_back(plan_.graph.feeds[i], feeds[i]);
  tf::RunMetadata metadata;
  const TraceTurn turn(merged);
  ThrowIfError(Session().Run(merged, named, plan_.graph.fetches, plan_.graph.targets, fetched, &metadata));
  if (trace != nullptr) *trace = ReadTrace(metadata);
}

void CallableFunction::Feed(const Tensor* inputs, std::vector<tf::Tensor>* feeds) const {
  const bool borrow = plan_.copies_because.empty() && !kept_an_input_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < feeds->size(); ++i) {
    ToTensorFlow(inputs[plan_.feed_inputs[i]], borrow, &(*feeds)[i]);
  }
}

void CallableFunction::RunCallable(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                                   const RunOptions* options, Trace* trace) {
  if (NeedsRunOptions(options) || trace != nullptr || (options != nullptr && options->trace) ||
      HasTimeout(options))
    return RunSession(feeds, fetched, options, trace);
  const TraceTurn turn(shared_->settings.run_options);
  ThrowIfError(Session().RunCallable(Callable(), feeds, fetched, nullptr));
}

template <typename RunIt>
void CallableFunction::RunCancellable(const RunOptions* options, const RunIt& run) const {
  const RunningCall call(GetInterruptCheck());
  std::optional<tf::CancellationManager> own;
  std::optional<Deadline> deadline;
  try {
    Cancellation* cancellation = options == nullptr ? nullptr : options->cancellation.get();
    if (cancellation == nullptr && !HasTimeout(options)) return run(&shared_->cancellation);
    tf::CancellationManager& manager = own.emplace(&shared_->cancellation);
    const LinkedCancellation linked(cancellation, &manager);
    if (HasTimeout(options)) deadline.emplace(options->timeout->count(), &manager);
    run(&manager);
  } catch (const Error&) {
    // A stopped kernel may report any error.
    if (shared_->cancellation.IsCancelled()) {
      throw Error(Code::kCancelled, "the model was closed while the call was running");
    }
    if (call.interrupted()) throw Error(Code::kCancelled, label_ + ": the run was interrupted");
    if (!own || !own->IsCancelled()) throw;
    if (deadline && deadline->passed()) {
      throw Error(Code::kDeadlineExceeded,
                  label_ + ": the run took longer than " + std::to_string(options->timeout->count()) + " s");
    }
    throw Error(Code::kCancelled, label_ + ": the run was cancelled");
  }
}

// In the caller's thread, with a word for it whatever the timeout.
void CallableFunction::RunExecutor(Fallback* executors, const GraphExecutor& executor, const Tensor* inputs,
                                   std::vector<tf::Tensor>* feeds, std::vector<tf::Tensor>* fetched,
                                   const RunOptions* options, Trace* trace) {
  const GraphExecutor& chosen = executors->For(*feeds, executor);
  RunCancellable(options, [&](tf::CancellationManager* cancellation) {
    try {
      chosen.Run(*feeds, fetched, cancellation);
    } catch (const Error& error) {
      if (cancellation->IsCancelled()) throw;
      if (&chosen != &executor) {
        Feed(inputs, feeds);  // kernels may have written into copies
        try {
          return executor.Run(*feeds, fetched, cancellation);
        } catch (const Error&) {  // the other one's error is TensorFlow's
        }
        throw;
      }
      // TensorFlow's fastest kernels refuse batches of none that others take: rare, and no reason to leave
      // them.
      const bool for_good = std::none_of(feeds->begin(), feeds->end(),
                                         [](const tf::Tensor& feed) { return feed.NumElements() == 0; });
      const bool done = executors->RunPlain(executor, error, for_good, [&](const GraphExecutor* plain) {
        Feed(inputs, feeds);
        if (plain == nullptr) return RunCallable(*feeds, fetched, options, trace);
        plain->Run(*feeds, fetched, cancellation);
      });
      if (!done) throw;
    }
  });
}

Trace CallableFunction::TraceOf(const RunRecorder& recorder, const Fallback& executors,
                                const GraphExecutor& executor) {
  Trace trace;
  trace.start_ns = recorder.begin_ns();
  trace.duration_ns = RunRecorder::NowNs() - trace.start_ns;
  const bool optimized = &executor == executors.first() && executors.report().optimized;
  const Origins* origins = nullptr;
  if (optimized) {
    const std::lock_guard<std::mutex> lock(origins_mutex_);
    const auto [found, fresh] = origins_.try_emplace(&executor);
    if (fresh) found->second = FindOrigins(shared_.get(), call_.get(), plan_.graph, executor);
    origins = &found->second;
  }
  for (const RunRecorder::Event& event : recorder.events()) {
    TraceEvent& added = trace.events.emplace_back();
    added.device = executor.device().name();
    added.node = *event.node;
    added.op = *event.op;
    added.thread = event.thread;
    added.start_ns = event.begin_ns;
    added.duration_ns = event.end_ns - event.begin_ns;
    added.part = event.part;
    if (origins == nullptr || event.part) continue;
    if (const auto of = origins->find(added.node); of != origins->end()) added.origins = of->second;
  }
  AddRunMetadata(&trace);
  return trace;
}

// A view of the caller's array changes with it; a view of a v1 variable changes with the next run.
bool CallableFunction::Aliases(const tf::Tensor& result, const std::vector<tf::Tensor>& feeds) const {
  return !result.RefCountIsOne() && (shared_->index().has_reference_variables() ||
                                     (result.dtype() != tf::DT_STRING &&
                                      std::any_of(feeds.begin(), feeds.end(), [&](const tf::Tensor& feed) {
                                        return feed.dtype() != tf::DT_STRING && Overlaps(feed, result);
                                      })));
}

void CallableFunction::Run(const Tensor* inputs, Tensor* outputs, bool into, const RunOptions* options,
                           Trace* trace) {
  if (!plan_.same_feeds.empty()) CheckSharedFeeds(inputs);
  Scratch scratch(plan_.graph.feeds.size(), &kept_an_input_);
  std::vector<tf::Tensor>& feeds = scratch.feeds;
  std::vector<tf::Tensor>& fetched = scratch.fetched;
  Feed(inputs, &feeds);
  // Before the run: kernels may write into inputs that are copies.
  std::vector<tf::Tensor> fed;
  for (const CallPlan::Source& source : plan_.sources) {
    if (source.fed) fed.push_back(tf::tensor::DeepCopy(feeds[source.index]));
  }
  if (plan_.graph.runs()) {
    // The graph as it was loaded serves where another run may write what is a constant in the optimized one.
    Fallback& executors = Executor();
    const GraphExecutor* executor = executors.current();
    const bool own = executor != nullptr && !NeedsRunOptions(options) &&
                     !(executors.is_frozen(executor) && shared_->prepared.variables.stale());
    const IntraOpThreads::Run run(shared_->threads(), own);
    const FloatMode mode;
    if (own) {
      std::unique_ptr<const RunRecorder> recorder;
      if (trace != nullptr) recorder = std::make_unique<const RunRecorder>();
      RunExecutor(&executors, *executor, inputs, &feeds, &fetched, options, trace);
      if (recorder != nullptr && !trace->session) *trace = TraceOf(*recorder, executors, *executor);
    } else {
      RunCallable(feeds, &fetched, options, trace);
    }
  }
  Deliver(inputs, into, &feeds, &fetched, &fed, outputs);
}

void CallableFunction::Deliver(const Tensor* inputs, bool into, std::vector<tf::Tensor>* feeds,
                               std::vector<tf::Tensor>* fetched, std::vector<tf::Tensor>* fed,
                               Tensor* outputs) const {
  // A copy that we made may be handed out; what is left is the caller's.
  for (std::size_t i = 0; i < feeds->size(); ++i) {
    tf::Tensor& feed = (*feeds)[i];
    if (feed.data() != inputs[plan_.feed_inputs[i]].data()) feed = tf::Tensor();
  }
  const auto is_buffer = [&](std::size_t i) { return into && outputs[i].dtype() != DType::kInvalid; };
  const auto result = [&, next = std::size_t{0}](std::size_t i) mutable -> tf::Tensor& {
    return plan_.sources[i].fed ? (*fed)[next++] : (*fetched)[plan_.sources[i].index];
  };
  if (into) {
    // Before anything is written: it may be an input's memory.
    auto look = result;
    for (std::size_t i = 0; i < plan_.sources.size(); ++i) {
      tf::Tensor& value = look(i);
      if (is_buffer(i)) CheckShape(i, value, outputs[i]);
      if (Aliases(value, *feeds)) value = tf::tensor::DeepCopy(value);
    }
  }
  auto take = result;
  for (std::size_t i = 0; i < plan_.sources.size(); ++i) {
    tf::Tensor& value = take(i);
    if (is_buffer(i)) {
      if (value.NumElements() > 0) std::memcpy(outputs[i].mutable_data(), value.data(), value.TotalBytes());
    } else if (value.NumElements() == 0) {
      // An empty slice still holds the buffer that it was cut from.
      outputs[i] = FromTensorFlow(tf::Tensor(value.dtype(), value.shape()));
    } else if (Aliases(value, *feeds)) {
      outputs[i] = FromTensorFlow(tf::tensor::DeepCopy(value));
    } else {
      const bool last = plan_.sources[i].fed || plan_.fetch_uses[plan_.sources[i].index] == 1;
      outputs[i] = FromTensorFlow(last ? std::move(value) : value);
    }
  }
  fetched->clear();
}

void CallableFunction::CheckShape(std::size_t output, const tf::Tensor& result, const Tensor& buffer) const {
  if (SameShape(result, buffer.shape())) return;
  throw UsageError(UsageError::Kind::kValue, label_ + ", output '" + outputs_[output].key +
                                                 "': the result is " + result.shape().DebugString() +
                                                 ", the buffer " + buffer.shape().ToString());
}

}  // namespace

std::unique_ptr<internal::EngineFunction> BindFunction(std::shared_ptr<SharedSession> session, Callee callee,
                                                       bool ad_hoc) {
  return std::make_unique<CallableFunction>(std::move(session), std::move(callee), ad_hoc);
}

}  // namespace savedmodel::engine
