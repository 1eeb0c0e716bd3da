// SPDX-License-Identifier: Apache-2.0
#include "open_inference.h"

#include <absl/strings/numbers.h>

#include <utility>

#include "grpc_call.h"
#include "inference.grpc.pb.h"
#include "inference_tensors.h"

namespace server {
namespace {

using namespace inference;
using savedmodel::Code, savedmodel::Error;

// Parameters that would change the answer are refused; what a client adds to describe its data is ignored.
template <typename Message>
void CheckParameters(const Message& message) {
  for (const char* name : {"sequence_id", "classification", "shared_memory_region"}) {
    if (message.parameters().count(name) > 0) Refuse("the parameter '", name, "' is not supported");
  }
}

VersionChoice ChoiceOf(const std::string& version) {
  VersionChoice choice;
  std::int64_t number = 0;
  if (version.empty()) return choice;
  if (!absl::SimpleAtoi(version, &number) || absl::StrCat(number) != version)
    throw Error(Code::kNotFound, "there is no version '" + version + "'");
  choice.number = number;
  return choice;
}

// Their memory is the request's, where it can be.
Tensors DecodeInputs(const std::shared_ptr<const ModelInferRequest>& request, const Specs& specs) {
  Tensors inputs(specs.size());
  for (int i = 0; i < request->inputs_size(); ++i) {
    const auto& sent = request->inputs(i);
    CheckParameters(sent);
    const std::size_t index = IndexOf(specs, sent.name(), "input");
    if (inputs[index]) Refuse("input '", sent.name(), "' is given twice");
    inputs[index] = DecodeInput(request, i);
    const savedmodel::DType wanted = specs[index].dtype;
    if (inputs[index].dtype() == wanted) continue;
    Refuse("input '", sent.name(), "' is ", DatatypeName(wanted), ", got ", sent.datatype());
  }
  AddDefaults(specs, &inputs);
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

class InferCall final : public RunCall<ModelInferRequest, ModelInferResponse> {
 public:
  using RunCall::RunCall;

 private:
  void Start() override {
    const auto loaded =
        dispatcher_.models().Find(message_->model_name())->Choose(ChoiceOf(message_->model_version()));
    CheckParameters(*message_);
    const auto parameter = message_->parameters().find("signature_name");
    const bool named = parameter != message_->parameters().end();
    if (named && parameter->second.parameter_choice_case() != InferParameter::kStringParam)
      Refuse("the parameter 'signature_name' is no string");
    std::vector<std::string> outputs;
    for (const auto& output : message_->outputs()) {
      CheckParameters(output);
      outputs.push_back(output.name());
    }
    job_ = dispatcher_.MakeJob(loaded->Find(named ? parameter->second.string_param() : ""), outputs);
    response_->set_model_name(message_->model_name());
    response_->set_model_version(absl::StrCat(loaded->version()));
    response_->set_id(message_->id());
    Run(job_, DecodeInputs(message_, job_.function.inputs()), [this](const Tensors& results) {
      for (std::size_t i = 0; i < job_.outputs.size(); ++i) {
        EncodeOutput(job_.Key(i), results[job_.outputs[i]], response_);
        CheckSize();
      }
    });
  }

  Job job_;
};

class Service final : public GRPCInferenceService::CallbackService {
 public:
  Service(Dispatcher* dispatcher, std::size_t max_response)
      : dispatcher_(*dispatcher), max_response_(max_response) {}

  Reactor* ServerLive(Context* context, const ServerLiveRequest*, ServerLiveResponse* response) override {
    return Answer(&dispatcher_, context, "ServerLive", [&] { response->set_live(true); });
  }
  Reactor* ServerReady(Context* context, const ServerReadyRequest*, ServerReadyResponse* response) override {
    return Answer(&dispatcher_, context, "ServerReady", [&] { response->set_ready(dispatcher_.ready()); });
  }
  Reactor* ServerMetadata(Context* context, const ServerMetadataRequest*,
                          ServerMetadataResponse* response) override {
    return Answer(&dispatcher_, context, "ServerMetadata", [&] {
      response->set_name("savedmodel");
      response->set_version(savedmodel::Version());
    });
  }
  Reactor* ModelReady(Context* context, const ModelReadyRequest* request,
                      ModelReadyResponse* response) override {
    return Answer(&dispatcher_, context, "ModelReady", [&] {
      const auto served = dispatcher_.models().Find(request->name());
      const auto choose = [&] { served->Choose(ChoiceOf(request->version())); };
      response->set_ready(dispatcher_.ready() && StatusOf(choose).ok());
    });
  }
  Reactor* ModelMetadata(Context* context, const ModelMetadataRequest* request,
                         ModelMetadataResponse* response) override {
    return Answer(&dispatcher_, context, "ModelMetadata", [&] {
      const auto served = dispatcher_.models().Find(request->name());
      const savedmodel::Model model = served->Choose(ChoiceOf(request->version()))->model();
      response->set_name(request->name());
      response->set_platform("tensorflow_savedmodel");
      for (const auto number : served->status().versions) response->add_versions(absl::StrCat(number));
      const auto signature = model.signatures().find(model.default_signature());
      if (signature == model.signatures().end()) return;
      EncodeMetadata(signature->second.inputs, response->mutable_inputs());
      EncodeMetadata(signature->second.outputs, response->mutable_outputs());
    });
  }
  Reactor* ModelInfer(Context*, const ModelInferRequest* request, ModelInferResponse* response) override {
    auto* const call = new InferCall(&dispatcher_, request, response, max_response_);
    call->Begin("ModelInfer");
    return call;
  }

 private:
  Dispatcher& dispatcher_;
  const std::size_t max_response_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOpenInference(Dispatcher* dispatcher, std::size_t max_response) {
  return std::make_unique<Service>(dispatcher, max_response);
}

}  // namespace server
