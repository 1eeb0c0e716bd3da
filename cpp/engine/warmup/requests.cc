// SPDX-License-Identifier: Apache-2.0
#include "engine/warmup/requests.h"

#include <cstdint>
#include <string_view>

#include "engine/base/tensors.h"
#include "engine/warmup/wire.h"
#include "savedmodel/constants.h"
#include "savedmodel/error.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/framework/types.h"

namespace savedmodel::engine::warmup {
namespace {

// Field numbers.
enum PredictionLog { kClassify = 2, kRegress = 3, kMultiInference = 4, kPredict = 6 };
constexpr int kRequest = 1;  // in each type of log
enum PredictRequest { kSpec = 1, kInputs = 2, kOutputFilter = 3 };
enum MapEntry { kKey = 1, kValue = 2 };
constexpr int kSignatureName = 3;  // in ModelSpec
constexpr int kInput = 2;          // in ClassificationRequest, RegressionRequest, MultiInferenceRequest
constexpr int kTasks = 1;          // in MultiInferenceRequest
constexpr int kTaskSpec = 1;       // in InferenceTask
enum Input { kExampleList = 1, kExampleListWithContext = 2 };
enum ExampleList { kExamples = 1, kContext = 2 };

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

std::string SignatureOf(std::string_view spec) {
  const std::string name(LastOf(spec, kSignatureName));
  return name.empty() ? kDefaultServingSignatureDefKey : name;
}

Tensor ParseTensor(std::string_view serialized) {
  tensorflow::TensorProto proto;
  if (!proto.ParseFromArray(serialized.data(), static_cast<int>(serialized.size()))) {
    throw Error(Code::kDataLoss, "a tensor is not a valid TensorProto");
  }
  const tensorflow::DataType dtype = proto.dtype();
  const std::string name = tensorflow::DataTypeString(dtype);
  if (dtype == tensorflow::DT_INVALID || dtype == tensorflow::DT_RESOURCE ||
      dtype == tensorflow::DT_VARIANT || dtype > static_cast<int>(DType::kFloat4E2M1FN)) {
    throw Error(Code::kUnimplemented, "a tensor of " + name + " can't be an input");
  }
  const tensorflow::TensorShapeProto& shape = proto.tensor_shape();
  if (shape.unknown_rank()) throw Error(Code::kDataLoss, "a tensor has an unknown rank");
  if (!tensorflow::TensorShape::IsValid(shape) ||
      tensorflow::TensorShape(shape).num_elements() > kMaxElements) {
    throw Error(Code::kDataLoss,
                "a tensor has the impossible shape " + tensorflow::PartialTensorShape::DebugString(shape));
  }
  tensorflow::Tensor tensor;
  if (!tensor.FromProto(proto)) {
    throw Error(Code::kDataLoss, "a tensor of " + name + " has values that do not match its shape");
  }
  return FromTensorFlow(std::move(tensor));
}

WarmupRequest ParsePredict(std::string_view request) {
  WarmupRequest parsed;
  parsed.signature = SignatureOf(LastOf(request, kSpec));
  for (const std::string_view entry : AllOf(request, kInputs)) {
    parsed.inputs[std::string(LastOf(entry, kKey))] = ParseTensor(LastOf(entry, kValue));
  }
  for (const std::string_view name : AllOf(request, kOutputFilter)) parsed.outputs.emplace_back(name);
  return parsed;
}

// Reads an Input: a list of examples, or a list with a context that is part of each example.
Tensor ParseExamples(std::string_view input) {
  const std::string_view with_context = LastOf(input, kExampleListWithContext);
  const std::string context(LastOf(with_context, kContext));
  std::vector<std::string> examples;
  for (const std::string_view list : {LastOf(input, kExampleList), with_context}) {
    // A parser merges concatenated serialized messages.
    for (const std::string_view one : AllOf(list, kExamples)) examples.push_back(context + std::string(one));
  }
  return Tensor::Strings(Shape{static_cast<std::int64_t>(examples.size())}, examples);
}

std::string SerializeTensor(const Tensor& tensor) {
  if (tensor.dtype() != DType::kString && DTypeSize(tensor.dtype()) == 0) {
    throw Error(Code::kUnimplemented,
                std::string("a tensor of ") + DTypeName(tensor.dtype()) + " can't be recorded");
  }
  tensorflow::Tensor viewed;
  ToTensorFlow(tensor, true, &viewed);
  tensorflow::TensorProto proto;
  if (tensor.dtype() == DType::kString) {
    viewed.AsProtoField(&proto);
  } else {
    viewed.AsProtoTensorContent(&proto);
  }
  return proto.SerializeAsString();
}

}  // namespace

std::vector<WarmupRequest> ParseRequests(const std::string& record) {
  std::vector<WarmupRequest> requests;
  for (const Field& log : ReadFields(record)) {
    if (log.number != kPredict && log.number != kClassify && log.number != kRegress &&
        log.number != kMultiInference) {
      continue;
    }
    const std::string_view request = LastOf(log.bytes, kRequest);
    if (log.number == kPredict) {
      requests.push_back(ParsePredict(request));
      continue;
    }
    const Tensor examples = ParseExamples(LastOf(request, kInput));
    if (log.number == kMultiInference) {
      for (const std::string_view task : AllOf(request, kTasks)) {
        requests.push_back({SignatureOf(LastOf(task, kTaskSpec)), {}, {}, examples});
      }
    } else {
      requests.push_back({SignatureOf(LastOf(request, kSpec)), {}, {}, examples});
    }
  }
  return requests;
}

std::string SerializeRequest(const WarmupRequest& request) {
  std::string spec;
  std::string predict;
  AppendField(kSignatureName, request.signature, &spec);
  AppendField(kSpec, spec, &predict);
  for (const auto& [name, tensor] : request.inputs) {
    std::string entry;
    AppendField(kKey, name, &entry);
    AppendField(kValue, SerializeTensor(tensor), &entry);
    AppendField(kInputs, entry, &predict);
  }
  for (const std::string& name : request.outputs) AppendField(kOutputFilter, name, &predict);
  std::string log;
  std::string record;
  AppendField(kRequest, predict, &log);
  AppendField(kPredict, log, &record);
  return record;
}

}  // namespace savedmodel::engine::warmup
