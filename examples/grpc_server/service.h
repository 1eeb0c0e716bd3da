// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "inference.grpc.pb.h"
#include "repository.h"
#include "workers.h"

// The protocol's calls, with gRPC's callback API: a call that waits holds no thread, and is told when its
// client goes away. Runs have threads of their own, so that health checks are answered meanwhile.
class Service final : public inference::GRPCInferenceService::CallbackService {
 public:
  Service();
  void Load();
  void Drain() { state_ = State::kDraining; }  // still answers, but says that it is not ready
  bool ready() const { return state_ == State::kServing; }

 private:
  class InferCall;
  enum class State { kLoading, kServing, kDraining };
  template <typename Request, typename Response>
  using Method = grpc::ServerUnaryReactor*(grpc::CallbackServerContext*, const Request*, Response*);
  Method<inference::ServerLiveRequest, inference::ServerLiveResponse> ServerLive;
  Method<inference::ServerReadyRequest, inference::ServerReadyResponse> ServerReady;
  Method<inference::ServerMetadataRequest, inference::ServerMetadataResponse> ServerMetadata;
  Method<inference::ModelReadyRequest, inference::ModelReadyResponse> ModelReady;
  Method<inference::ModelMetadataRequest, inference::ModelMetadataResponse> ModelMetadata;
  Method<inference::ModelInferRequest, inference::ModelInferResponse> ModelInfer;

  using Request = std::shared_ptr<const inference::ModelInferRequest>;
  void Infer(const Request& request, const std::shared_ptr<savedmodel::Cancellation>& cancellation,
             inference::ModelInferResponse* response) const;
  const Repository& repository() const;  // throws Error (kUnavailable) before it is loaded

  const std::vector<float> noop_;  // the answer to everything, if it is not empty
  const std::size_t most_bytes_;   // of a response
  Repository repository_;
  std::atomic<State> state_{State::kLoading};
  Workers workers_;
};
