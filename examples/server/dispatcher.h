// SPDX-License-Identifier: Apache-2.0
// The part that the protocols share: a request from its arrival to the results of a run.
#pragma once

#include <savedmodel/savedmodel.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "errors.h"
#include "models.h"

namespace server {

using Specs = std::vector<savedmodel::TensorSpec>;
using Tensors = std::vector<savedmodel::Tensor>;

// Where `name` is among the inputs or outputs (`what`) of a signature. Throws Error (kInvalidArgument).
std::size_t IndexOf(const Specs& specs, const std::string& name, const char* what);
// Fills in defaults. Throws Error if an input is missing.
void AddDefaults(const Specs& specs, Tensors* inputs);

// A run: a signature, for some of its outputs.
struct Job {
  std::shared_ptr<const Endpoint> endpoint;
  savedmodel::Function function;
  std::vector<std::size_t> outputs;  // wanted, in the order asked for; indexes of the function's

  const std::string& Key(std::size_t i) const { return function.outputs()[outputs[i]].key; }
};

// A request, from its arrival to its answer.
class Request {
 public:
  // `protocol` and `method` are names that live as long as the program.
  Request(const char* protocol, const char* method, bool limited);
  void SetModel(const Endpoint& endpoint);
  void SetStatus(const Status& status) { status_ = status; }

 private:
  friend class Dispatcher;
  const char* protocol_;
  const char* method_;
  const bool limited_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::string model_, signature_;
  std::int64_t version_ = 0;
  Status status_;
};

class Dispatcher {
 public:
  struct Options {
    std::uint32_t requests = 1024;  // at a time
    bool log_requests = false;
  };
  explicit Dispatcher(Options options) : options_(options) {}

  void Serve(const Models* models) { models_ = models; }
  void Drain() { draining_ = true; }  // still answers, but says that it is not ready
  bool ready() const { return models_ != nullptr && !draining_; }
  bool has_models() const { return models_ != nullptr; }
  // Throws Error (kUnavailable) while models are loaded.
  const Models& models() const;

  // Counts the request until it is released. Throws Error (kResourceExhausted) if there are too many that are
  // `limited`, as those are that run a model.
  std::shared_ptr<Request> Admit(const char* protocol, const char* method, bool limited);

  // `outputs`: keys; none: all.
  template <typename Keys>
  Job MakeJob(std::shared_ptr<const Endpoint> endpoint, const Keys& outputs) const {
    return MakeJobOf(std::move(endpoint), {outputs.begin(), outputs.end()});
  }
  // `done` gets all of the function's results, or an error; in the calling thread if that is quick.
  static void Run(const Job& job, Tensors inputs,
                  const std::shared_ptr<savedmodel::Cancellation>& cancellation,
                  savedmodel::Function::Callback done);
  // In the calling thread. Throws Error.
  static Tensors RunHere(const Job& job, const Tensors& inputs);

  // Requests that have ended, in Prometheus' text format.
  std::string Metrics() const;

 private:
  static Job MakeJobOf(std::shared_ptr<const Endpoint> endpoint, const std::vector<std::string>& outputs);
  void Release(Request* request);

  const Options options_;
  std::atomic<const Models*> models_{nullptr};
  std::atomic<bool> draining_{false};
  std::atomic<std::uint32_t> requests_{0};
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t>
      ended_;  // protocol, method, code
};

}  // namespace server
