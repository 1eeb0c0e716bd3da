// SPDX-License-Identifier: Apache-2.0
// The Open Inference Protocol (KServe v2) over gRPC.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <cstddef>
#include <memory>

#include "dispatcher.h"

namespace server {

std::unique_ptr<grpc::Service> MakeOpenInference(Dispatcher* dispatcher, std::size_t max_response);

}  // namespace server
