// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include <absl/flags/flag.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <chrono>

#include "tensors.h"

ABSL_FLAG(std::string, models, "", "directory in TensorFlow Serving's layout: NAME/VERSION/saved_model.pb");
ABSL_FLAG(std::string, optimize, "default", "none, default or bf16");
ABSL_FLAG(uint16_t, threads, 0, "of a model, for one run; 0: one for each CPU");
ABSL_FLAG(uint16_t, workers, 0, "runs at the same time; 0: one for each CPU");
ABSL_FLAG(uint32_t, queue, 1024, "requests that wait for a worker; more are refused");
ABSL_FLAG(uint32_t, noop, 0, "no models: all requests are answered with this many zeros");
ABSL_FLAG(uint32_t, max_message, 64 << 20, "bytes of a request or a response; below 2 GB");

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;
using savedmodel::Code;
using savedmodel::DType;
using savedmodel::Error;
using savedmodel::Tensor;
using savedmodel::TensorSpec;
using namespace inference;

namespace {

template <typename Function>
grpc::Status StatusOf(const Function& function) {
  const auto status = [](Code code, const std::string& text) {
    // The text is sent in a header, and clients refuse headers of more than 8 KB.
    return grpc::Status(static_cast<grpc::StatusCode>(code), text.substr(0, 1000));
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
    if (message.parameters().count(name) > 0)
      Refuse(absl::StrCat("the parameter '", name, "' is not supported"));
  }
}

// Where `name` is among the inputs or outputs (`what`) of a signature.
std::size_t Index(const std::vector<TensorSpec>& specs, const std::string& name, const char* what) {
  const auto found =
      std::find_if(specs.begin(), specs.end(), [&](const auto& spec) { return spec.key == name; });
  if (found != specs.end()) return static_cast<std::size_t>(found - specs.begin());
  const auto add_key = [](std::string* text, const TensorSpec& spec) {
    absl::StrAppend(text, "'", spec.key, "'");
  };
  Refuse(absl::StrCat("there is no ", what, " '", name, "', but ", absl::StrJoin(specs, ", ", add_key)));
}

std::vector<Tensor> DecodeInputs(const std::shared_ptr<const ModelInferRequest>& request,
                                 const std::vector<TensorSpec>& specs) {
  std::vector<Tensor> inputs(specs.size());
  for (int i = 0; i < request->inputs_size(); ++i) {
    const auto& given = request->inputs(i);
    CheckParameters(given);
    const std::size_t index = Index(specs, given.name(), "input");
    if (inputs[index].dtype() != DType::kInvalid)
      Refuse(absl::StrCat("input '", given.name(), "' is given twice"));
    inputs[index] = DecodeInput(*request, i, request);
    if (inputs[index].dtype() != specs[index].dtype) {
      Refuse(absl::StrCat("input '", given.name(), "' is ", DatatypeName(specs[index].dtype), ", got ",
                          given.datatype()));
    }
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (inputs[i].dtype() == DType::kInvalid) inputs[i] = specs[i].default_value;
    if (inputs[i].dtype() == DType::kInvalid) Refuse(absl::StrCat("input '", specs[i].key, "' is missing"));
  }
  return inputs;
}

template <typename Metadata>
void EncodeMetadata(const std::vector<TensorSpec>& specs, Metadata* metadata) {
  for (const TensorSpec& spec : savedmodel::Flatten(specs)) {
    auto* one = metadata->Add();
    one->set_name(spec.key);
    one->set_datatype(DatatypeName(spec.dtype));
    const auto shape = spec.shape.value_or(std::vector<std::int64_t>{-1});  // of unknown rank
    one->mutable_shape()->Add(shape.begin(), shape.end());
  }
}

// That of a version which could not be loaded cannot be used.
const savedmodel::Model& Loaded(const Repository::Version& version) {
  if (version.error.empty()) return version.model;
  throw Error(Code::kUnavailable, absl::StrCat("the model could not be loaded: ", version.error));
}

}  // namespace

// One ModelInfer, until gRPC has no more use for it.
class Service::InferCall final : public Reactor {
 public:
  InferCall(Service* service, Context* context, const ModelInferRequest* request,
            ModelInferResponse* response)
      : context_(context) {
    // Taken from gRPC, for a tensor may need it for longer than the call does.
    auto taken = std::make_shared<ModelInferRequest>();
    taken->Swap(const_cast<ModelInferRequest*>(request));
    const auto run = [this, service, taken, response] {
      CheckWanted();  // it may have waited
      service->Infer(taken, cancellation_, response);
      CheckWanted();
    };
    if (service->workers_.Post([this, run] { Finish(StatusOf(run)); })) return;
    Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many requests are waiting"});
  }

 private:
  void OnCancel() override { cancellation_->Cancel(); }  // its client has gone, or its deadline has passed
  void OnDone() override { delete this; }
  void CheckWanted() const {
    if (context_->deadline() < std::chrono::system_clock::now()) {
      throw Error(Code::kDeadlineExceeded, "the deadline has passed");
    }
    if (cancellation_->cancelled()) throw Error(Code::kCancelled, "the client has cancelled the call");
  }

  Context* const context_;
  const std::shared_ptr<savedmodel::Cancellation> cancellation_ =
      std::make_shared<savedmodel::Cancellation>();
};

Service::Service()
    : noop_(absl::GetFlag(FLAGS_noop)),
      most_bytes_(absl::GetFlag(FLAGS_max_message)),
      workers_(absl::GetFlag(FLAGS_workers), absl::GetFlag(FLAGS_queue)) {}

void Service::Load() {
  using savedmodel::Optimize;
  const std::map<std::string, Optimize> known{
      {"none", Optimize::kNone}, {"default", Optimize::kDefault}, {"bf16", Optimize::kBf16}};
  savedmodel::LoadOptions options;
  options.threads = absl::GetFlag(FLAGS_threads);
  options.optimize = known.at(absl::GetFlag(FLAGS_optimize));
  if (noop_.empty()) repository_.Load(absl::GetFlag(FLAGS_models), options);
  state_ = State::kServing;
}

const Repository& Service::repository() const {
  if (state_ == State::kLoading) throw Error(Code::kUnavailable, "the models are being loaded");
  return repository_;
}

void Service::Infer(const Request& request, const std::shared_ptr<savedmodel::Cancellation>& cancellation,
                    ModelInferResponse* response) const {
  CheckParameters(*request);
  response->set_model_name(request->model_name());
  response->set_id(request->id());
  const auto encode = [&](const std::string& name, const Tensor& tensor) {
    EncodeOutput(name, tensor, response);
    if (response->ByteSizeLong() <= most_bytes_) return;
    throw Error(Code::kResourceExhausted, absl::StrCat("the response has more than ", most_bytes_, " bytes"));
  };
  if (!noop_.empty()) {
    for (int i = 0; i < request->inputs_size(); ++i) DecodeInput(*request, i, request);
    return encode("output",
                  Tensor::Wrap(DType::kFloat32, {std::int64_t(noop_.size())}, noop_.data(), request));
  }
  const auto& versions = repository().Find(request->model_name());
  const auto& [number, version] = Repository::Choose(versions, request->model_version());
  const savedmodel::Model& model = Loaded(version);
  response->set_model_version(absl::StrCat(number));
  const auto parameter = request->parameters().find("signature_name");
  const bool named = parameter != request->parameters().end();
  const std::string& signature = named ? parameter->second.string_param() : model.default_signature();
  if (model.signatures().count(signature) == 0)
    Refuse(absl::StrCat("there is no signature '", signature, "'"));
  savedmodel::Function function = model.function(signature);
  for (const auto& output : request->outputs()) {
    CheckParameters(output);
    Index(function.outputs(), output.name(), "output");
  }
  // One output or all: a function is a graph of its own, and a client could ask for 2^N of them.
  if (request->outputs_size() == 1 && function.outputs().size() > 1)
    function = model.function(signature, {request->outputs(0).name()});
  savedmodel::RunOptions options;
  options.cancellation = cancellation;
  const std::vector<Tensor> results = function.Run(DecodeInputs(request, function.inputs()), options);
  for (const auto& output : request->outputs()) {
    encode(output.name(), results[Index(function.outputs(), output.name(), "output")]);
  }
  for (std::size_t i = 0; request->outputs().empty() && i < results.size(); ++i) {
    encode(function.outputs()[i].key, results[i]);
  }
}

Reactor* Service::ServerLive(Context* context, const ServerLiveRequest*, ServerLiveResponse* response) {
  return Answer(context, [&] { response->set_live(true); });
}

Reactor* Service::ServerReady(Context* context, const ServerReadyRequest*, ServerReadyResponse* response) {
  return Answer(context, [&] { response->set_ready(ready()); });
}

Reactor* Service::ServerMetadata(Context* context, const ServerMetadataRequest*,
                                 ServerMetadataResponse* response) {
  return Answer(context, [&] {
    response->set_name("savedmodel");
    response->set_version(savedmodel::Version());
  });
}

Reactor* Service::ModelReady(Context* context, const ModelReadyRequest* request,
                             ModelReadyResponse* response) {
  return Answer(context, [&] {
    const auto& versions = repository().Find(request->name());
    response->set_ready(ready() && Repository::Choose(versions, request->version()).second.error.empty());
  });
}

Reactor* Service::ModelMetadata(Context* context, const ModelMetadataRequest* request,
                                ModelMetadataResponse* response) {
  return Answer(context, [&] {
    const auto& versions = repository().Find(request->name());
    const savedmodel::Model& model = Loaded(Repository::Choose(versions, request->version()).second);
    response->set_name(request->name());
    response->set_platform("tensorflow_savedmodel");
    for (const auto& [number, version] : versions) response->add_versions(absl::StrCat(number));
    const auto signature = model.signatures().find(model.default_signature());
    if (signature == model.signatures().end()) return;
    EncodeMetadata(signature->second.inputs, response->mutable_inputs());
    EncodeMetadata(signature->second.outputs, response->mutable_outputs());
  });
}

Reactor* Service::ModelInfer(Context* context, const ModelInferRequest* request,
                             ModelInferResponse* response) {
  return new InferCall(this, context, request, response);
}
