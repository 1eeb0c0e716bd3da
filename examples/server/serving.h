// SPDX-License-Identifier: Apache-2.0
// TensorFlow Serving's API over gRPC: PredictionService and ModelService. HTTP has what both need.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <cstddef>
#include <memory>

#include "dispatcher.h"
#include "serving.pb.h"

namespace server {

VersionChoice ChoiceOf(const tensorflow::serving::ModelSpec& spec);
void ModelStatus(const Dispatcher& dispatcher, const tensorflow::serving::ModelSpec& spec,
                 tensorflow::serving::GetModelStatusResponse* to);
void ModelMetadata(const Dispatcher& dispatcher, const tensorflow::serving::ModelSpec& spec,
                   tensorflow::serving::GetModelMetadataResponse* to);

std::unique_ptr<grpc::Service> MakePredictionService(Dispatcher* dispatcher, std::size_t max_response);
std::unique_ptr<grpc::Service> MakeModelService(Dispatcher* dispatcher);

}  // namespace server
