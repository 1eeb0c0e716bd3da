// SPDX-License-Identifier: Apache-2.0
// A server for the Open Inference Protocol, with gRPC's callback API and Function::RunAsync: a call that
// waits holds no thread, and is told when its client goes away; runs have threads of their own.
#include <absl/flags/flag.h>
#include <absl/flags/parse.h>
#include <absl/flags/usage.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <grpcpp/grpcpp.h>
#include <savedmodel/savedmodel.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <set>
#include <thread>

#include "inference.grpc.pb.h"
#include "tensors.h"

ABSL_FLAG(std::string, address, "127.0.0.1:8001", "to listen on; port 0: any that is free");
ABSL_FLAG(std::string, models, "", "directory in TensorFlow Serving's layout: NAME/VERSION/saved_model.pb");
ABSL_FLAG(uint16_t, versions, 1, "of each model, the highest that can be loaded; 0: all");
ABSL_FLAG(absl::Duration, poll, absl::Seconds(1), "between two looks for new versions");
ABSL_FLAG(bool, bf16, false, "matrix products and convolutions in bfloat16");
ABSL_FLAG(uint16_t, threads, 0, "of a model, for one run; 0: one for each CPU");
ABSL_FLAG(uint32_t, requests, 1024, "that run or wait; more are refused");
ABSL_FLAG(int32_t, max_message, 256 << 20, "bytes of a request or a response");
ABSL_FLAG(absl::Duration, drain_delay, absl::ZeroDuration(), "after SIGTERM: not ready, but still serving");
ABSL_FLAG(absl::Duration, grace, absl::Seconds(30), "then: how long running calls may take");

namespace fs = std::filesystem;
using namespace inference;
using namespace tensors;
using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;
using savedmodel::Code, savedmodel::Error, savedmodel::Model, savedmodel::Tensor;
using Request = std::shared_ptr<ModelInferRequest>;
using Specs = std::vector<savedmodel::TensorSpec>;

namespace {

template <typename Function>
grpc::Status StatusOf(const Function& function) {
  const auto status = [](Code code, const std::string& text) {
    // Where models are on this machine is nothing to a client; and it is a header.
    const std::string directory = absl::GetFlag(FLAGS_models) + "/";
    const std::string shown = absl::StrReplaceAll(text, {{directory, ""}});
    return grpc::Status(static_cast<grpc::StatusCode>(code), shown.substr(0, 1000));
  };
  try {
    function();
    return grpc::Status::OK;
  } catch (const Error& error) {
    return status(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return status(Code::kResourceExhausted, "out of memory");
  } catch (const std::exception& error) {
    return status(Code::kInternal, error.what());
  }
}

template <typename Function>
Reactor* Answer(Context* context, const Function& function) {
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(StatusOf(function));
  return reactor;
}

// Parameters that would change the answer are refused; what a client adds to describe its data is ignored.
template <typename Message>
void CheckParameters(const Message& message) {
  for (const char* name : {"sequence_id", "classification", "shared_memory_region"}) {
    if (message.parameters().count(name) > 0) Refuse("the parameter '", name, "' is not supported");
  }
}

// Where `name` is among the inputs or outputs (`what`) of a signature.
std::size_t Index(const Specs& specs, const std::string& name, const char* what) {
  const auto named = [&](const auto& spec) { return spec.key == name; };
  const auto found = std::find_if(specs.begin(), specs.end(), named);
  if (found != specs.end()) return static_cast<std::size_t>(found - specs.begin());
  const auto add_key = [](std::string* text, const auto& spec) { absl::StrAppend(text, "'", spec.key, "'"); };
  Refuse("there is no ", what, " '", name, "', but ", absl::StrJoin(specs, ", ", add_key));
}

// Their memory is the request's, where it can be.
std::vector<Tensor> DecodeInputs(const Request& request, const Specs& specs) {
  std::vector<Tensor> inputs(specs.size());
  const auto given = [](const Tensor& input) { return input.dtype() != savedmodel::DType::kInvalid; };
  for (int i = 0; i < request->inputs_size(); ++i) {
    const auto& sent = request->inputs(i);
    CheckParameters(sent);
    const std::size_t index = Index(specs, sent.name(), "input");
    if (given(inputs[index])) Refuse("input '", sent.name(), "' is given twice");
    inputs[index] = DecodeInput(request, i);
    const savedmodel::DType wanted = specs[index].dtype;
    if (inputs[index].dtype() == wanted) continue;
    Refuse("input '", sent.name(), "' is ", DatatypeName(wanted), ", got ", sent.datatype());
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!given(inputs[i])) inputs[i] = specs[i].default_value;
    if (!given(inputs[i])) Refuse("input '", specs[i].key, "' is missing");
  }
  return inputs;
}

template <typename Metadata>
void EncodeMetadata(const Specs& specs, Metadata* metadata) {
  for (const savedmodel::TensorSpec& spec : savedmodel::Flatten(specs)) {
    auto* one = metadata->Add();
    one->set_name(spec.key);
    one->set_datatype(DatatypeName(spec.dtype));
    const auto shape = spec.shape.value_or(std::vector<std::int64_t>{-1});  // of unknown rank
    one->mutable_shape()->Add(shape.begin(), shape.end());
  }
}

bool HasVersions(const fs::path& model) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(model, failed)) {
    std::int64_t number = 0;
    if (absl::SimpleAtoi(entry.path().filename().string(), &number)) return true;
  }
  return false;
}

// The models of a directory: they are watched for new versions, and it for new models.
class Models {
 public:
  // Loads models whose folders are new, lets go of those whose folders are gone. Throws if it can't be read.
  void Look(const std::string& directory) {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (std::error_code ignored; !entry.is_directory(ignored)) continue;
      const std::string& name = *found.insert(entry.path().filename()).first;
      if (Has(name)) continue;
      savedmodel::Watched started = Start(entry.path());
      const std::lock_guard<std::mutex> lock(mutex_);
      models_[name] = std::move(started);
    }
    std::vector<savedmodel::Watched> gone;  // go without the lock
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto one = models_.begin(); one != models_.end();) {
      const bool was_there = !one->second.status().versions.empty();
      const bool stays =
          found.count(one->first) > 0 && (!was_there || HasVersions(fs::path(directory) / one->first));
      if (!stays) gone.push_back(std::move(one->second));
      one = stays ? std::next(one) : models_.erase(one);
    }
  }
  // These throw Error: kNotFound, kUnavailable. An empty `version` is the highest.
  savedmodel::Watched Find(const std::string& model) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = models_.find(model);
    if (found == models_.end()) throw Error(Code::kNotFound, "there is no model '" + model + "'");
    return found->second;
  }
  Model Choose(const std::string& model, const std::string& version) const {
    const savedmodel::Watched versions = Find(model);
    std::int64_t number = 0;
    if (!version.empty() && (!absl::SimpleAtoi(version, &number) || absl::StrCat(number) != version))
      throw Error(Code::kNotFound, "there is no version '" + version + "'");
    try {
      return version.empty() ? versions.model() : versions.model(number);
    } catch (const Error& error) {  // which tells of files: the log has it
      if (error.code() != Code::kUnavailable) throw;
      const std::string which = version.empty() ? "no version" : "not version " + version;
      throw Error(Code::kUnavailable, which + " of the model '" + model + "' could be loaded");
    }
  }

 private:
  static savedmodel::Watched Start(const fs::path& path) {
    savedmodel::WatchOptions options;
    options.load.threads = absl::GetFlag(FLAGS_threads);
    if (absl::GetFlag(FLAGS_bf16)) options.load.optimize = savedmodel::Optimize::kBf16;
    options.load.max_queue = absl::GetFlag(FLAGS_requests) + std::size_t{1};  // which are counted here
    options.versions = absl::GetFlag(FLAGS_versions);
    options.poll = absl::ToChronoNanoseconds(absl::GetFlag(FLAGS_poll));
    options.required = false;
    options.on_change = [path](const savedmodel::VersionChange& change) {
      const bool good = change.error.empty();
      std::cerr << absl::StrCat(good ? "loaded " : "cannot serve ", path.string(), "/", change.version,
                                good ? "" : ": ", change.error, "\n");
    };
    return savedmodel::Watched::Start(path, options);
  }
  bool Has(const std::string& name) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return models_.count(name) > 0;
  }

  mutable std::mutex mutex_;
  std::map<std::string, savedmodel::Watched> models_;
};

// One ModelInfer, until gRPC has no more use for it.
class InferCall final : public Reactor {
 public:
  InferCall(const Models* models, const ModelInferRequest* request, ModelInferResponse* response)
      : response_(response) {
    // Taken from gRPC, for a tensor may need it for longer than the call does.
    request_->Swap(const_cast<ModelInferRequest*>(request));
    const grpc::Status status = StatusOf([&] { Start(models); });
    if (!status.ok()) Finish(status);
  }
  ~InferCall() override { --calls_; }

 private:
  void OnCancel() override { cancellation_->Cancel(); }  // its client has gone, or its deadline has passed
  void OnDone() override { delete this; }

  void Start(const Models* models) {
    if (++calls_ > absl::GetFlag(FLAGS_requests))
      throw Error(Code::kResourceExhausted, "too many requests are waiting");
    if (models == nullptr) throw Error(Code::kUnavailable, "the models are being loaded");
    const Model model = models->Choose(request_->model_name(), request_->model_version());
    response_->set_model_name(request_->model_name());
    response_->set_model_version(fs::path(model.path()).filename());
    response_->set_id(request_->id());
    function_ = ChooseFunction(model);
    savedmodel::RunOptions options;
    options.cancellation = cancellation_;
    const auto done = [this](const Error* error, const std::vector<Tensor>& results) {
      Finish(StatusOf([&] { error == nullptr ? Encode(results) : throw *error; }));
    };
    function_.RunAsync(DecodeInputs(request_, function_.inputs()), done, options);
  }

  savedmodel::Function ChooseFunction(const Model& model) const {
    CheckParameters(*request_);
    const auto parameter = request_->parameters().find("signature_name");
    const bool named = parameter != request_->parameters().end();
    const std::string& signature = named ? parameter->second.string_param() : model.default_signature();
    if (model.signatures().count(signature) == 0) Refuse("there is no signature '", signature, "'");
    const savedmodel::Function all = model.function(signature);
    std::set<std::size_t> asked;
    for (const auto& output : request_->outputs()) {
      CheckParameters(output);
      const bool first = asked.insert(Index(all.outputs(), output.name(), "output")).second;
      if (!first) Refuse("output '", output.name(), "' is asked for twice");
    }
    // One output or all: a function is a graph of its own, and a client could ask for 2^N of them.
    if (request_->outputs_size() != 1 || all.outputs().size() == 1) return all;
    return model.function(signature, {request_->outputs(0).name()});
  }

  void Encode(const std::vector<Tensor>& results) const {
    const auto encode = [&](std::size_t index) {
      EncodeOutput(function_.outputs()[index].key, results[index], response_);
      const int most = absl::GetFlag(FLAGS_max_message);
      if (response_->ByteSizeLong() <= static_cast<std::size_t>(most)) return;
      throw Error(Code::kResourceExhausted, absl::StrCat("the response has more than ", most, " bytes"));
    };
    for (const auto& output : request_->outputs())
      encode(Index(function_.outputs(), output.name(), "output"));
    for (std::size_t i = 0; request_->outputs().empty() && i < results.size(); ++i) encode(i);
  }

  inline static std::atomic<std::uint32_t> calls_{0};  // that have not ended
  ModelInferResponse* const response_;
  const Request request_ = std::make_shared<ModelInferRequest>();
  const std::shared_ptr<savedmodel::Cancellation> cancellation_ =
      std::make_shared<savedmodel::Cancellation>();
  savedmodel::Function function_;
};

class Service final : public GRPCInferenceService::CallbackService {
 public:
  void Serve(const Models* models) { models_ = models; }
  void Drain() { draining_ = true; }  // still answers, but says that it is not ready
  bool ready() const { return models_ != nullptr && !draining_; }

  Reactor* ServerLive(Context* context, const ServerLiveRequest*, ServerLiveResponse* response) override {
    return Answer(context, [&] { response->set_live(true); });
  }
  Reactor* ServerReady(Context* context, const ServerReadyRequest*, ServerReadyResponse* response) override {
    return Answer(context, [&] { response->set_ready(ready()); });
  }
  Reactor* ServerMetadata(Context* context, const ServerMetadataRequest*,
                          ServerMetadataResponse* response) override {
    return Answer(context, [&] {
      response->set_name("savedmodel");
      response->set_version(savedmodel::Version());
    });
  }
  Reactor* ModelReady(Context* context, const ModelReadyRequest* request,
                      ModelReadyResponse* response) override {
    return Answer(context, [&] {
      models().Find(request->name());
      const auto choose = [&] { models().Choose(request->name(), request->version()); };
      response->set_ready(ready() && StatusOf(choose).ok());
    });
  }
  Reactor* ModelMetadata(Context* context, const ModelMetadataRequest* request,
                         ModelMetadataResponse* response) override {
    return Answer(context, [&] {
      const Model model = models().Choose(request->name(), request->version());
      response->set_name(request->name());
      response->set_platform("tensorflow_savedmodel");
      for (const auto number : models().Find(request->name()).status().versions)
        response->add_versions(absl::StrCat(number));
      const auto signature = model.signatures().find(model.default_signature());
      if (signature == model.signatures().end()) return;
      EncodeMetadata(signature->second.inputs, response->mutable_inputs());
      EncodeMetadata(signature->second.outputs, response->mutable_outputs());
    });
  }
  Reactor* ModelInfer(Context*, const ModelInferRequest* request, ModelInferResponse* response) override {
    return new InferCall(models_, request, response);
  }

 private:
  const Models& models() const {
    if (models_ == nullptr) throw Error(Code::kUnavailable, "the models are being loaded");
    return *models_;
  }

  std::atomic<const Models*> models_{nullptr};
  std::atomic<bool> draining_{false};
};

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "grpc_server: " << message << std::endl;
  std::_Exit(1);  // threads may be running
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("serves a directory of SavedModels by the Open Inference Protocol");
  if (absl::ParseCommandLine(argc, argv).size() > 1) Fail("takes options only; see --help");
  const std::string directory = absl::GetFlag(FLAGS_models);
  if (std::error_code ignored; !fs::is_directory(directory, ignored)) Fail("--models names no directory");
  const absl::Duration poll = absl::GetFlag(FLAGS_poll);
  if (poll <= absl::ZeroDuration() || poll == absl::InfiniteDuration()) Fail("--poll is above 0, and finite");
  sigset_t signals;  // blocked before there are threads, which inherit that
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Models models;
  Service service;
  const std::string address = absl::GetFlag(FLAGS_address);
  int port = 0;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder.SetMaxReceiveMessageSize(absl::GetFlag(FLAGS_max_message));
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) Fail("cannot listen on " + address);
  auto* const health = server->GetHealthCheckService();
  health->SetServingStatus(false);
  std::cout << "listening on " << address.substr(0, address.rfind(':') + 1) << port << std::endl;

  absl::Notification stopped;
  std::thread loader([&] {
    try {
      models.Look(directory);
    } catch (const std::exception& error) {
      Fail(error.what());
    }
    service.Serve(&models);
    health->SetServingStatus(true);
    std::cout << "ready" << std::endl;
    std::string known;
    while (!stopped.WaitForNotificationWithTimeout(poll)) {
      try {
        models.Look(directory);
        known.clear();
      } catch (const std::exception& error) {  // what is loaded goes on
        if (known != error.what()) std::cerr << "cannot look for models: " << error.what() << std::endl;
        known = error.what();
      }
    }
  });
  int signal = 0;
  sigwait(&signals, &signal);
  if (!service.ready()) std::_Exit(0);  // a load cannot be interrupted
  stopped.Notify();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the next one ends the process
  service.Drain();
  health->SetServingStatus(false);
  absl::SleepFor(absl::GetFlag(FLAGS_drain_delay));
  server->Shutdown(absl::ToChronoTime(absl::Now() + absl::GetFlag(FLAGS_grace)));
  loader.join();
  std::cout << "drained" << std::endl;
}
