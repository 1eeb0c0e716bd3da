// SPDX-License-Identifier: Apache-2.0
#include "dispatcher.h"

#include <absl/strings/str_join.h>

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "log.h"

namespace server {
using savedmodel::Code, savedmodel::Error, savedmodel::Tensor;

namespace {

// A run in one of gRPC's threads. One of these is always left for others: a run may take longer than those
// before.
class InlineRun {
 public:
  explicit InlineRun(bool quick) : allowed_(quick && ++Count() <= Limit()) {
    if (quick && !allowed_) --Count();
  }
  ~InlineRun() {
    if (allowed_) --Count();
  }
  InlineRun(const InlineRun&) = delete;
  InlineRun& operator=(const InlineRun&) = delete;
  bool allowed() const { return allowed_; }

 private:
  static std::atomic<int>& Count() {
    static std::atomic<int> count{0};
    return count;
  }
  static int Limit() {
    static const int limit = std::max(1, static_cast<int>(std::thread::hardware_concurrency()) - 1);
    return limit;
  }
  const bool allowed_;
};

}  // namespace

std::size_t IndexOf(const Specs& specs, const std::string& name, const char* what) {
  const auto named = [&](const auto& spec) { return spec.key == name; };
  const auto found = std::find_if(specs.begin(), specs.end(), named);
  if (found != specs.end()) return static_cast<std::size_t>(found - specs.begin());
  const auto add_key = [](std::string* text, const auto& spec) { absl::StrAppend(text, "'", spec.key, "'"); };
  Refuse("there is no ", what, " '", name, "', but ", absl::StrJoin(specs, ", ", add_key));
}

void AddDefaults(const Specs& specs, Tensors* inputs) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!(*inputs)[i]) (*inputs)[i] = specs[i].default_value;
    if (!(*inputs)[i]) Refuse("input '", specs[i].key, "' is missing");
  }
}

Request::Request(const char* protocol, const char* method, bool limited)
    : protocol_(protocol), method_(method), limited_(limited) {}

void Request::SetModel(const Endpoint& endpoint) {
  model_ = endpoint.name;
  signature_ = endpoint.signature;
  version_ = endpoint.version;
}

const Models& Dispatcher::models() const {
  const Models* models = models_;
  if (models == nullptr) throw Error(Code::kUnavailable, "the models are being loaded");
  return *models;
}

std::shared_ptr<Request> Dispatcher::Admit(const char* protocol, const char* method, bool limited) {
  const bool full = limited && ++requests_ > options_.requests;
  std::shared_ptr<Request> request(new Request(protocol, method, limited),
                                   [this](Request* one) { Release(one); });
  if (!full) return request;
  request->SetStatus({Code::kResourceExhausted, "too many requests are waiting"});
  throw Error(Code::kResourceExhausted, "too many requests are waiting");
}

void Dispatcher::Release(Request* request) {
  const std::unique_ptr<Request> ended(request);
  if (ended->limited_) --requests_;
  const std::string code = ended->status_.name();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++ended_[{ended->protocol_, ended->method_, code}];
  }
  if (!options_.log_requests) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - ended->begin_).count();
  nlohmann::json fields{{"protocol", ended->protocol_},
                        {"method", ended->method_},
                        {"model", ended->model_},
                        {"version", ended->version_},
                        {"signature", ended->signature_},
                        {"code", code},
                        {"seconds", seconds}};
  if (!ended->status_.ok()) fields["error"] = ended->status_.message;
  Log(Level::kInfo,
      absl::StrCat(ended->protocol_, " ", ended->method_, " ", ended->model_, "/", ended->version_, " ", code,
                   " ", seconds, " s"),
      fields);
}

Job Dispatcher::MakeJobOf(std::shared_ptr<const Endpoint> endpoint, const std::vector<std::string>& outputs) {
  Job job{std::move(endpoint), {}, {}};
  const Specs& all = job.endpoint->function.outputs();
  std::set<std::size_t> asked;
  for (const std::string& output : outputs) {
    job.outputs.push_back(IndexOf(all, output, "output"));
    if (!asked.insert(job.outputs.back()).second) Refuse("output '", output, "' is asked for twice");
  }
  for (std::size_t i = 0; outputs.empty() && i < all.size(); ++i) job.outputs.push_back(i);
  job.function = job.endpoint->function;
  // One output or all: a function is a graph of its own, and a client could ask for 2^N of them.
  if (outputs.size() == 1 && all.size() > 1 && !job.endpoint->batcher) {
    job.function = job.endpoint->model.function(job.endpoint->signature, {outputs[0]});
    job.outputs = {0};
  }
  return job;
}

void Dispatcher::Run(const Job& job, Tensors inputs,
                     const std::shared_ptr<savedmodel::Cancellation>& cancellation,
                     savedmodel::Function::Callback done) {
  // `job` may go with the call that has it, as soon as `done` has been called.
  const std::shared_ptr<const Endpoint> endpoint = job.endpoint;
  const savedmodel::Function function = job.function;
  savedmodel::RunOptions options;
  options.cancellation = cancellation;
  if (endpoint->batcher) {
    std::vector<savedmodel::Batcher::Request> one(1);
    one[0] = {std::move(inputs), std::move(done), std::move(options)};
    return endpoint->batcher.RunAsync(std::move(one), kQuick);
  }
  const InlineRun here(endpoint->quick);
  if (!here.allowed()) return function.RunAsync(std::move(inputs), std::move(done), std::move(options));
  Tensors results(function.outputs().size());
  try {
    function.Run(inputs, savedmodel::Span<Tensor>(results), &options);
  } catch (const Error& error) {
    return done(&error, {});
  }
  done(nullptr, std::move(results));
}

Tensors Dispatcher::RunHere(const Job& job, const Tensors& inputs) {
  Tensors results(job.function.outputs().size());
  if (job.endpoint->batcher) {
    job.endpoint->batcher.Run(inputs, savedmodel::Span<Tensor>(results));
  } else {
    job.function.Run(inputs, savedmodel::Span<Tensor>(results));
  }
  return results;
}

std::string Dispatcher::Metrics() const {
  std::string text =
      "# HELP savedmodel_server_requests_total Requests that ended.\n"
      "# TYPE savedmodel_server_requests_total counter\n";
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [labels, count] : ended_) {
    const auto& [protocol, method, code] = labels;
    absl::StrAppend(&text, "savedmodel_server_requests_total{protocol=\"", protocol, "\",method=\"", method,
                    "\",code=\"", code, "\"} ", count, "\n");
  }
  absl::StrAppend(&text,
                  "# HELP savedmodel_server_requests Requests that run or wait.\n"
                  "# TYPE savedmodel_server_requests gauge\nsavedmodel_server_requests ",
                  requests_.load(), "\n");
  return text;
}

}  // namespace server
