// SPDX-License-Identifier: Apache-2.0
// Calls of gRPC's callback API: a call that waits holds no thread, and is told when its client goes away.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <utility>

#include "dispatcher.h"

namespace server {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

inline grpc::Status ToGrpc(const Status& status) {
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(*status.code), status.message);
}

// A call that is answered at once.
template <typename Function>
Reactor* Answer(Dispatcher* dispatcher, Context* context, const char* method, const Function& function) {
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(StatusOf([&] {
    const std::shared_ptr<Request> request = dispatcher->Admit("grpc", method, false);
    try {
      function();
    } catch (...) {
      request->SetStatus(CurrentStatus());
      throw;
    }
  })));
  return reactor;
}

// A call that runs a model, until gRPC has no more use for it. `Derived` has Start(), which calls Run or
// Done.
template <typename Message, typename Response>
class RunCall : public Reactor {
 public:
  RunCall(Dispatcher* dispatcher, const Message* message, Response* response, std::size_t max_response)
      : dispatcher_(*dispatcher), response_(response), max_response_(max_response) {
    // Taken from gRPC, for a tensor may need it for longer than the call does.
    message_->Swap(const_cast<Message*>(message));
  }
  // Once, when the call is complete.
  void Begin(const char* method) {
    const Status status = StatusOf([&] {
      request_ = dispatcher_.Admit("grpc", method, true);
      Start();
    });
    if (!status.ok()) Done(status);
  }

 protected:
  using Encode = std::function<void(const Tensors& results)>;  // fills in the response; may throw

  virtual void Start() = 0;
  void Run(const Job& job, Tensors inputs, Encode encode) {
    RunPart(job, std::move(inputs), std::move(encode), [this] { Done({}); });
  }
  // The same; `next` goes on, unless there was an error.
  void RunPart(const Job& job, Tensors inputs, Encode encode, std::function<void()> next) {
    request_->SetModel(*job.endpoint);
    Dispatcher::Run(job, std::move(inputs), cancellation_,
                    [this, encode = std::move(encode), next = std::move(next)](const savedmodel::Error* error,
                                                                               const Tensors& results) {
                      const Status status = StatusOf([&] {
                        if (error != nullptr) throw *error;
                        encode(results);
                        CheckSize();
                      });
                      status.ok() ? next() : Done(status);
                    });
  }
  void Done(const Status& status) {
    if (request_ != nullptr) request_->SetStatus(status);
    Finish(ToGrpc(status));
  }
  void CheckSize() const {
    if (response_->ByteSizeLong() <= max_response_) return;
    throw savedmodel::Error(savedmodel::Code::kResourceExhausted,
                            absl::StrCat("the response has more than ", max_response_, " bytes"));
  }

  Dispatcher& dispatcher_;
  const std::shared_ptr<Message> message_ = std::make_shared<Message>();
  Response* const response_;

 private:
  void OnCancel() final { cancellation_->Cancel(); }  // its client has gone, or its deadline has passed
  void OnDone() final { delete this; }

  const std::size_t max_response_;
  const std::shared_ptr<savedmodel::Cancellation> cancellation_ =
      std::make_shared<savedmodel::Cancellation>();
  std::shared_ptr<Request> request_;
};

}  // namespace server
