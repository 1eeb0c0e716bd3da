// SPDX-License-Identifier: Apache-2.0
#include "serving.h"

#include <algorithm>
#include <set>
#include <utility>

#include "grpc_call.h"
#include "serving.grpc.pb.h"
#include "serving_examples.h"
#include "serving_tensors.h"

namespace server {
using savedmodel::Code, savedmodel::Error;
namespace ts = tensorflow::serving;

namespace {

// The version that answered, and the signature that it used.
void SetSpec(const ts::ModelSpec& asked, const Endpoint& endpoint, ts::ModelSpec* to) {
  to->set_name(asked.name());
  to->mutable_version()->set_value(endpoint.version);
  to->set_signature_name(endpoint.signature);
}

std::shared_ptr<const Endpoint> EndpointOf(const Dispatcher& dispatcher, const ts::ModelSpec& spec) {
  if (spec.name().empty()) Refuse("the request names no model");
  return dispatcher.models().Find(spec.name())->Choose(ChoiceOf(spec))->Find(spec.signature_name());
}

class PredictCall final : public RunCall<ts::PredictRequest, ts::PredictResponse> {
 public:
  using RunCall::RunCall;

 private:
  void Start() override {
    job_ = dispatcher_.MakeJob(EndpointOf(dispatcher_, message_->model_spec()), message_->output_filter());
    const Specs& specs = job_.function.inputs();
    Tensors inputs(specs.size());
    for (const auto& [name, proto] : message_->inputs()) {
      const std::size_t index = IndexOf(specs, name, "input");
      inputs[index] = FromProto(name, proto, message_);
      if (inputs[index].dtype() == specs[index].dtype) continue;
      Refuse("input '", name, "' is ", savedmodel::DTypeName(specs[index].dtype), ", got ",
             NameOf(proto.dtype()));
    }
    AddDefaults(specs, &inputs);
    SetSpec(message_->model_spec(), *job_.endpoint, response_->mutable_model_spec());
    Run(job_, std::move(inputs), [this](const Tensors& results) {
      for (std::size_t i = 0; i < job_.outputs.size(); ++i)
        ToProto(results[job_.outputs[i]], &(*response_->mutable_outputs())[job_.Key(i)]);
    });
  }

  Job job_;
};

// Classify and Regress: one task of MultiInference.
template <typename Message, typename Response>
class ExampleCall final : public RunCall<Message, Response> {
 public:
  using Parent = RunCall<Message, Response>;
  using Parent::Parent;

 private:
  static constexpr bool kIsClassify = std::is_same_v<Message, ts::ClassificationRequest>;
  static constexpr const char* kMethod = kIsClassify ? kClassify : kRegress;

  void Start() override {
    const Message& message = *this->message_;
    auto endpoint = EndpointOf(this->dispatcher_, message.model_spec());
    CheckMethod(*endpoint, kMethod);
    const std::vector<std::string> outputs = OutputsOf(*endpoint, kMethod);
    job_ = this->dispatcher_.MakeJob(std::move(endpoint), outputs);
    SetSpec(message.model_spec(), *job_.endpoint, this->response_->mutable_model_spec());
    this->Run(job_, ExampleInputs(job_.function.inputs(), message.input()), [this](const Tensors& results) {
      const std::size_t examples = CountExamples(this->message_->input());
      if constexpr (kIsClassify) {
        Classes(job_, results, examples, this->response_->mutable_result());
      } else {
        Regressions(job_, results, examples, this->response_->mutable_result());
      }
    });
  }

  Job job_;
};

// The tasks run one after the other.
class MultiCall final : public RunCall<ts::MultiInferenceRequest, ts::MultiInferenceResponse> {
 public:
  using RunCall::RunCall;

 private:
  void Start() override {
    if (message_->tasks().empty()) Refuse("the request has no tasks");
    std::set<std::string> signatures;
    const std::string& name = message_->tasks(0).model_spec().name();
    for (const ts::InferenceTask& task : message_->tasks()) {
      if (task.model_spec().name() != name) Refuse("the tasks are for more than one model");
      auto endpoint = EndpointOf(dispatcher_, task.model_spec());
      if (!signatures.insert(endpoint->signature).second)
        Refuse("two tasks are for the signature '", endpoint->signature, "'");
      const char* method = task.method_name() == kClassify ? kClassify : kRegress;
      if (task.method_name() != method)
        throw Error(Code::kUnimplemented, "a task is for the method '" + task.method_name() + "'");
      CheckMethod(*endpoint, method);
      const std::vector<std::string> outputs = OutputsOf(*endpoint, method);
      jobs_.push_back(dispatcher_.MakeJob(std::move(endpoint), outputs));
    }
    RunNext();
  }

  void RunNext() {
    const std::size_t index = next_++;
    const Job& job = jobs_[index];
    Tensors inputs;
    const Status status = StatusOf([&] { inputs = ExampleInputs(job.function.inputs(), message_->input()); });
    if (!status.ok()) return Done(status);
    const auto add = [this, index](const Tensors& results) {
      const Job& job = jobs_[index];
      const std::size_t examples = CountExamples(message_->input());
      ts::InferenceResult* const result = response_->add_results();
      SetSpec(message_->tasks(static_cast<int>(index)).model_spec(), *job.endpoint,
              result->mutable_model_spec());
      if (job.endpoint->method == kClassify) {
        Classes(job, results, examples, result->mutable_classification_result());
      } else {
        Regressions(job, results, examples, result->mutable_regression_result());
      }
    };
    if (next_ == jobs_.size()) return Run(job, std::move(inputs), add);
    RunPart(job, std::move(inputs), add, [this] { RunNext(); });
  }

  std::vector<Job> jobs_;
  std::size_t next_ = 0;
};

class Prediction final : public ts::PredictionService::CallbackService {
 public:
  Prediction(Dispatcher* dispatcher, std::size_t max_response)
      : dispatcher_(*dispatcher), max_response_(max_response) {}

  Reactor* Predict(Context*, const ts::PredictRequest* request, ts::PredictResponse* response) override {
    return Begin<PredictCall>("Predict", request, response);
  }
  Reactor* Classify(Context*, const ts::ClassificationRequest* request,
                    ts::ClassificationResponse* response) override {
    return Begin<ExampleCall<ts::ClassificationRequest, ts::ClassificationResponse>>("Classify", request,
                                                                                     response);
  }
  Reactor* Regress(Context*, const ts::RegressionRequest* request,
                   ts::RegressionResponse* response) override {
    return Begin<ExampleCall<ts::RegressionRequest, ts::RegressionResponse>>("Regress", request, response);
  }
  Reactor* MultiInference(Context*, const ts::MultiInferenceRequest* request,
                          ts::MultiInferenceResponse* response) override {
    return Begin<MultiCall>("MultiInference", request, response);
  }
  Reactor* GetModelMetadata(Context* context, const ts::GetModelMetadataRequest* request,
                            ts::GetModelMetadataResponse* response) override {
    return Answer(&dispatcher_, context, "GetModelMetadata", [&] {
      if (request->metadata_field().empty()) Refuse("the request names no metadata_field");
      for (const std::string& field : request->metadata_field()) {
        if (field != "signature_def") Refuse("there is no metadata_field '", field, "', but 'signature_def'");
      }
      ModelMetadata(dispatcher_, request->model_spec(), response);
    });
  }

 private:
  template <typename Call, typename Message, typename Response>
  Reactor* Begin(const char* method, const Message* request, Response* response) {
    auto* const call = new Call(&dispatcher_, request, response, max_response_);
    call->Begin(method);
    return call;
  }

  Dispatcher& dispatcher_;
  const std::size_t max_response_;
};

class ModelService final : public ts::ModelService::CallbackService {
 public:
  explicit ModelService(Dispatcher* dispatcher) : dispatcher_(*dispatcher) {}

  Reactor* GetModelStatus(Context* context, const ts::GetModelStatusRequest* request,
                          ts::GetModelStatusResponse* response) override {
    return Answer(&dispatcher_, context, "GetModelStatus",
                  [&] { ModelStatus(dispatcher_, request->model_spec(), response); });
  }

 private:
  Dispatcher& dispatcher_;
};

}  // namespace

VersionChoice ChoiceOf(const ts::ModelSpec& spec) {
  VersionChoice choice;
  if (spec.has_version()) choice.number = spec.version().value();
  choice.label = spec.version_label();
  if (spec.version_choice_case() == ts::ModelSpec::kVersionLabel && choice.label.empty())
    Refuse("the version label is empty");
  return choice;
}

void ModelStatus(const Dispatcher& dispatcher, const ts::ModelSpec& spec, ts::GetModelStatusResponse* to) {
  if (spec.name().empty()) Refuse("the request names no model");
  const auto served = dispatcher.models().Find(spec.name());
  const savedmodel::WatchStatus status = served->status();
  VersionChoice choice = ChoiceOf(spec);
  if (!choice.label.empty()) choice.number = served->Choose(choice)->version();
  std::map<std::int64_t, ts::ModelVersionStatus> all;  // a version has one state
  const auto set = [&](std::int64_t version, ts::ModelVersionStatus::State state) {
    ts::ModelVersionStatus& one = all[version];
    one.set_version(version);
    one.set_state(state);
    return one.mutable_status();
  };
  for (const auto& [version, error] : status.failed) {
    auto* const failed = set(version, ts::ModelVersionStatus::END);
    failed->set_error_code(static_cast<int>(Code::kUnknown));
    failed->set_error_message("the version could not be loaded");  // why is in the server's log
  }
  for (const std::int64_t version : status.draining) set(version, ts::ModelVersionStatus::UNLOADING);
  if (status.loading) set(*status.loading, ts::ModelVersionStatus::LOADING);
  for (const std::int64_t version : status.versions) {
    if (all.count(version) == 0) set(version, ts::ModelVersionStatus::AVAILABLE);
  }
  // The highest first.
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    if (!choice.number || one->first == *choice.number) *to->add_model_version_status() = one->second;
  }
  if (to->model_version_status().empty())
    throw Error(Code::kNotFound, choice.number ? absl::StrCat("there is no version ", *choice.number,
                                                              " of the model '", spec.name(), "'")
                                               : "the model '" + spec.name() + "' has no versions");
}

void ModelMetadata(const Dispatcher& dispatcher, const ts::ModelSpec& spec,
                   ts::GetModelMetadataResponse* to) {
  if (spec.name().empty()) Refuse("the request names no model");
  const auto loaded = dispatcher.models().Find(spec.name())->Choose(ChoiceOf(spec));
  to->mutable_model_spec()->set_name(spec.name());
  to->mutable_model_spec()->mutable_version()->set_value(loaded->version());
  ts::SignatureDefMap map;
  for (const auto& [key, signature] : loaded->model().signatures()) {
    auto& def = (*map.mutable_signature_def())[key];
    def.set_method_name(signature.method_name);
    for (const auto& spec : savedmodel::Flatten(signature.inputs))
      ToProto(spec, &(*def.mutable_inputs())[spec.key]);
    for (const auto& spec : savedmodel::Flatten(signature.outputs))
      ToProto(spec, &(*def.mutable_outputs())[spec.key]);
  }
  (*to->mutable_metadata())["signature_def"].PackFrom(map);
}

std::unique_ptr<grpc::Service> MakePredictionService(Dispatcher* dispatcher, std::size_t max_response) {
  return std::make_unique<Prediction>(dispatcher, max_response);
}

std::unique_ptr<grpc::Service> MakeModelService(Dispatcher* dispatcher) {
  return std::make_unique<ModelService>(dispatcher);
}

}  // namespace server
