// SPDX-License-Identifier: Apache-2.0
#include "engine/function.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "engine/options.h"
#include "engine/prepare.h"
#include "engine/status.h"
#include "engine/tensors.h"
#include "engine/trace.h"
#include "tensorflow/core/framework/tensor_util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Runs that are not the default one go through Session::Run, which takes options per call; a callable
// would have to be made for each.
bool IsDefault(const RunOptions* options, const Trace* trace) {
  return trace == nullptr &&
         (options == nullptr || (!options->timeout && !options->trace && options->proto.empty()));
}

// An output comes from a fetch, or, when it is an input, from the feed.
struct Source {
  bool fed;
  std::size_t index;
};

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
  CallableFunction(std::shared_ptr<SharedSession> shared, std::string label, std::vector<TensorSpec> inputs,
                   std::vector<TensorSpec> outputs)
      : shared_(std::move(shared)),
        label_(std::move(label)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {
    report_.function = label_;
    PlanInputs();
    PlanOutputs();
    if (fetches_.empty()) return;  // nothing to run: all outputs are inputs
    MakeExecutor();
    if (executor_ == nullptr) Callable();
  }
  ~CallableFunction() override {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->executors.erase(executor_);
    if (shared_->session != nullptr && callable_) shared_->session->ReleaseCallable(*callable_).IgnoreError();
  }

  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  const std::string& copies_inputs_because() const override {
    static const std::string* kept = new std::string("an earlier run kept one of its inputs");
    return copies_because_.empty() && kept_an_input_ ? *kept : copies_because_;
  }
  const OptimizationReport& optimization() const override { return report_; }
  void Run(const Tensor* inputs, Tensor* outputs, const RunOptions* options, Trace* trace) override;

 private:
  void PlanInputs();
  void PlanOutputs();
  void MakeExecutor();
  tf::Session::CallableHandle Callable();
  void CheckSharedFeeds(const Tensor* inputs) const;
  void RunSession(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                  const RunOptions* options, Trace* trace) const;
  Tensor Finish(tf::Tensor result, const std::vector<tf::Tensor>& feeds) const;

  std::shared_ptr<SharedSession> shared_;
  std::string label_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::vector<std::string> feeds_;                               // distinct graph tensors
  std::vector<std::size_t> feed_inputs_;                         // the input that each is fed from
  std::vector<std::pair<std::size_t, std::size_t>> same_feeds_;  // inputs that name one tensor
  std::vector<std::string> fetches_;                             // distinct, and none of feeds_
  std::vector<int> fetch_uses_;                                  // outputs per fetch
  std::vector<Source> sources_;
  std::atomic<bool> kept_an_input_{false};
  std::string copies_because_;
  OptimizationReport report_;
  const GraphExecutor* executor_ = nullptr;  // or
  std::mutex callable_mutex_;
  std::optional<tf::Session::CallableHandle> callable_;
};

void RefuseHandle(const TensorSpec& spec, const std::string& what) {
  if (spec.dtype != DType::kResource && spec.dtype != DType::kVariant) return;
  throw Error(Code::kUnimplemented,
              what + " is a " + DTypeName(spec.dtype) + " handle, which has no value outside of TensorFlow");
}

// Completes `spec` with what the graph says of its tensor.
TensorName Resolve(const GraphIndex& graph, const std::string& what, TensorSpec* spec) {
  TensorName name(spec->name);
  spec->name = name.ToString();
  const DType dtype = graph.TypeOf(name, what);
  if (dtype != DType::kInvalid) spec->dtype = dtype;
  RefuseHandle(*spec, what);
  return name;
}

void CallableFunction::PlanInputs() {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    TensorSpec& spec = inputs_[i];
    Resolve(shared_->graph, label_ + ", input '" + spec.key + "'", &spec);
    const auto known = std::find(feeds_.begin(), feeds_.end(), spec.name);
    if (known == feeds_.end()) {
      feeds_.push_back(spec.name);
      feed_inputs_.push_back(i);
    } else {
      same_feeds_.emplace_back(feed_inputs_[static_cast<std::size_t>(known - feeds_.begin())], i);
    }
  }
}

void CallableFunction::PlanOutputs() {
  std::vector<TensorName> names;
  for (TensorSpec& spec : outputs_) {
    const TensorName name = Resolve(shared_->graph, label_ + ", output '" + spec.key + "'", &spec);
    const auto fed = std::find(feeds_.begin(), feeds_.end(), spec.name);
    if (fed != feeds_.end()) {
      sources_.push_back({true, static_cast<std::size_t>(fed - feeds_.begin())});
      continue;
    }
    const auto known = std::find(fetches_.begin(), fetches_.end(), spec.name);
    sources_.push_back({false, static_cast<std::size_t>(known - fetches_.begin())});
    if (known == fetches_.end()) {
      fetches_.push_back(spec.name);
      names.push_back(name);
      fetch_uses_.push_back(0);
    }
    ++fetch_uses_[sources_.back().index];
  }
  const std::string keeper = shared_->graph.InputKeeper(names);
  if (!keeper.empty()) copies_because_ = "the run may keep or change its inputs (" + keeper + ")";
}

void CallableFunction::MakeExecutor() {
  std::vector<tf::DataType> feed_types;
  for (const std::size_t input : feed_inputs_) {
    feed_types.push_back(static_cast<tf::DataType>(inputs_[input].dtype));
  }
  std::vector<tf::DataType> fetch_types;
  for (const std::string& fetch : fetches_) {
    fetch_types.push_back(static_cast<tf::DataType>(shared_->graph.TypeOf(TensorName(fetch), label_)));
  }
  executor_ = PrepareExecutor(shared_.get(), {feeds_, feed_types, fetches_, fetch_types}, &report_);
}

tf::Session::CallableHandle CallableFunction::Callable() {
  std::lock_guard<std::mutex> lock(callable_mutex_);
  if (callable_) return *callable_;
  tf::CallableOptions options;
  for (const std::string& feed : feeds_) options.add_feed(feed);
  for (const std::string& fetch : fetches_) options.add_fetch(fetch);
  *options.mutable_run_options() = shared_->run_options;
  tf::Session::CallableHandle handle;
  ThrowIfError(shared_->session->MakeCallable(options, &handle), label_);
  callable_ = handle;
  return handle;
}

void CallableFunction::CheckSharedFeeds(const Tensor* inputs) const {
  for (const auto& [first, second] : same_feeds_) {
    if (SameValue(inputs[first], inputs[second])) continue;
    throw UsageError(UsageError::Kind::kValue, label_ + ": the inputs '" + inputs_[first].key + "' and '" +
                                                   inputs_[second].key + "' are one tensor of the graph (" +
                                                   inputs_[first].name +
                                                   "), and were given different values");
  }
}

void CallableFunction::RunSession(const std::vector<tf::Tensor>& feeds, std::vector<tf::Tensor>* fetched,
                                  const RunOptions* options, Trace* trace) const {
  tf::RunOptions merged = MakeRunOptions(options == nullptr ? RunOptions() : *options, shared_->run_options);
  if (trace != nullptr) merged.set_trace_level(tf::RunOptions::FULL_TRACE);
  // A run in the caller's thread can't be interrupted.
  if (merged.timeout_in_ms() > 0 && merged.inter_op_thread_pool() < 0) merged.set_inter_op_thread_pool(0);
  std::vector<std::pair<std::string, tf::Tensor>> named;
  for (std::size_t i = 0; i < feeds.size(); ++i) named.emplace_back(feeds_[i], feeds[i]);
  tf::RunMetadata metadata;
  ThrowIfError(shared_->session->Run(merged, named, fetches_, {}, fetched, &metadata));
  if (trace != nullptr) *trace = ReadTrace(metadata);
}

Tensor CallableFunction::Finish(tf::Tensor result, const std::vector<tf::Tensor>& feeds) const {
  // An empty slice still holds the buffer that it was cut from.
  if (result.NumElements() == 0) return FromTensorFlow(tf::Tensor(result.dtype(), result.shape()));
  // What looks at the caller's array would change with it; what looks at a v1 variable, with the next run.
  const bool aliases =
      !result.RefCountIsOne() && (shared_->graph.has_reference_variables() ||
                                  (result.dtype() != tf::DT_STRING &&
                                   std::any_of(feeds.begin(), feeds.end(), [&](const tf::Tensor& feed) {
                                     return feed.dtype() != tf::DT_STRING && Overlaps(feed, result);
                                   })));
  return FromTensorFlow(aliases ? tf::tensor::DeepCopy(result) : std::move(result));
}

void CallableFunction::Run(const Tensor* inputs, Tensor* outputs, const RunOptions* options, Trace* trace) {
  if (!same_feeds_.empty()) CheckSharedFeeds(inputs);
  Scratch scratch(feeds_.size(), &kept_an_input_);
  std::vector<tf::Tensor>& feeds = scratch.feeds;
  std::vector<tf::Tensor>& fetched = scratch.fetched;
  const bool borrow = copies_because_.empty() && !kept_an_input_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < feeds.size(); ++i) ToTensorFlow(inputs[feed_inputs_[i]], borrow, &feeds[i]);
  // Before the run: kernels may write into inputs that are copies.
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].fed) outputs[i] = FromTensorFlow(tf::tensor::DeepCopy(feeds[sources_[i].index]));
  }
  if (!fetches_.empty()) {
    const IntraOpThreads::Run run(shared_->threads.get());
    if (!IsDefault(options, trace)) {
      RunSession(feeds, &fetched, options, trace);
    } else if (executor_ != nullptr && !(report_.variables_frozen > 0 && shared_->thawed)) {
      executor_->Run(feeds, &fetched, &shared_->cancellation);
    } else {
      ThrowIfError(shared_->session->RunCallable(Callable(), feeds, &fetched, nullptr));
    }
  }
  // A copy that we made may be handed out; what is left is the caller's.
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    if (feeds[i].data() != inputs[feed_inputs_[i]].data()) feeds[i] = tf::Tensor();
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const std::size_t fetch = sources_[i].index;
    if (sources_[i].fed) continue;
    outputs[i] = Finish(fetch_uses_[fetch] == 1 ? std::move(fetched[fetch]) : fetched[fetch], feeds);
  }
  fetched.clear();
}

}  // namespace

std::unique_ptr<internal::EngineFunction> BindFunction(std::shared_ptr<SharedSession> session,
                                                       const std::string& label,
                                                       std::vector<TensorSpec> inputs,
                                                       std::vector<TensorSpec> outputs) {
  return std::make_unique<CallableFunction>(std::move(session), label, std::move(inputs), std::move(outputs));
}

}  // namespace savedmodel::engine
