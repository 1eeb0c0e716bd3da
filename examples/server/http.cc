// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include <absl/strings/numbers.h>
#include <google/protobuf/util/json_util.h>
#include <httplib.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "json_tensors.h"
#include "serving.h"
#include "serving_examples.h"

namespace server {
using savedmodel::Code, savedmodel::Error;
namespace ts = tensorflow::serving;

namespace {

constexpr char kJson[] = "application/json";
constexpr char kModel[] = R"(/v1/models/([^/:]+)(?:/(versions|labels)/([^/:]+))?)";
constexpr int kKeepAliveSeconds = 2;
constexpr std::size_t kRequestsOfAConnection = 100'000;

// As TensorFlow Serving has them.
int HttpStatus(Code code) {
  // clang-format off
  switch (code) {
    case Code::kInvalidArgument: case Code::kFailedPrecondition: case Code::kOutOfRange: return 400;
    case Code::kUnauthenticated: return 401;
    case Code::kPermissionDenied: return 403;
    case Code::kNotFound: return 404;
    case Code::kAlreadyExists: case Code::kAborted: return 409;
    case Code::kCancelled: return 499;
    case Code::kUnimplemented: return 501;
    case Code::kUnavailable: case Code::kResourceExhausted: return 503;
    case Code::kDeadlineExceeded: return 504;
    default: return 500;
  }
  // clang-format on
}

std::string ErrorJson(const std::string& message) {
  return Json({{"error", message}}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

ts::ModelSpec SpecOf(const httplib::Request& request) {
  ts::ModelSpec spec;
  spec.set_name(request.matches[1]);
  if (request.matches[2] == "labels") spec.set_version_label(request.matches[3]);
  if (request.matches[2] != "versions") return spec;
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(std::string(request.matches[3]), &number))
    throw Error(Code::kNotFound, "there is no version '" + std::string(request.matches[3]) + "'");
  spec.mutable_version()->set_value(number);
  return spec;
}

template <typename Message>
std::string MessageToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok())
    throw Error(Code::kInternal, "the answer has strings that are no UTF-8");
  return text;
}

std::string StatusToJson(const ts::GetModelStatusResponse& response) {
  Json versions = Json::array();
  for (const auto& one : response.model_version_status()) {
    versions.push_back(
        {{"version", absl::StrCat(one.version())},
         {"state", ts::ModelVersionStatus::State_Name(one.state())},
         {"status",
          {{"error_code", one.status().error_code() == 0
                              ? "OK"
                              : savedmodel::CodeName(static_cast<Code>(one.status().error_code()))},
           {"error_message", one.status().error_message()}}}});
  }
  return Json({{"model_version_status", std::move(versions)}}).dump();
}

std::string MetadataToJson(const ts::GetModelMetadataResponse& response) {
  ts::SignatureDefMap map;
  response.metadata().at("signature_def").UnpackTo(&map);
  Json spec{{"name", response.model_spec().name()},
            {"signature_name", ""},
            {"version", absl::StrCat(response.model_spec().version().value())}};
  return absl::StrCat(R"({"model_spec":)", spec.dump(), R"(,"metadata":{"signature_def":)",
                      MessageToJson(map), "}}");
}

std::string Predict(const Dispatcher& dispatcher, std::shared_ptr<const Endpoint> endpoint,
                    const Json& body) {
  const Job job = dispatcher.MakeJob(std::move(endpoint), std::vector<std::string>());
  const Tensors results = Dispatcher::RunHere(job, InputsFromJson(job.function.inputs(), body));
  return OutputsToJson(job, results, body.contains("instances"));
}

template <typename Result>
std::string RunExamples(const Dispatcher& dispatcher, std::shared_ptr<const Endpoint> endpoint,
                        const char* method, void (*encode)(const Job&, const Tensors&, std::size_t, Result*),
                        const Json& body) {
  CheckMethod(*endpoint, method);
  const std::vector<std::string> outputs = OutputsOf(*endpoint, method);
  const Job job = dispatcher.MakeJob(std::move(endpoint), outputs);
  const ts::Input input = ExamplesFromJson(body);
  const Tensors results = Dispatcher::RunHere(job, ExampleInputs(job.function.inputs(), input));
  Result result;
  encode(job, results, CountExamples(input), &result);
  return ToJson(result);
}

std::string Run(const Dispatcher& dispatcher, const httplib::Request& http, const std::string& text,
                Request* request) {
  ts::ModelSpec spec = SpecOf(http);
  const auto loaded = dispatcher.models().Find(spec.name())->Choose(ChoiceOf(spec));
  const Json body = ParseJson(text);
  if (const auto named = body.find("signature_name"); named != body.end()) {
    if (!named->is_string()) Refuse("'signature_name' is a string");
    spec.set_signature_name(named->get<std::string>());
  }
  auto endpoint = loaded->Find(spec.signature_name());
  request->SetModel(*endpoint);
  const std::string verb = http.matches[4];
  if (verb == "predict") return Predict(dispatcher, std::move(endpoint), body);
  if (verb == "classify") return RunExamples(dispatcher, std::move(endpoint), kClassify, &Classes, body);
  return RunExamples(dispatcher, std::move(endpoint), kRegress, &Regressions, body);
}

std::unique_ptr<httplib::Server> Make(const HttpOptions& options) {
  if (options.certificate.empty()) return std::make_unique<httplib::Server>();
  const char* const client_ca = options.client_ca.empty() ? nullptr : options.client_ca.c_str();
  return std::make_unique<httplib::SSLServer>(options.certificate.c_str(), options.key.c_str(), client_ca);
}

}  // namespace

class HttpServer::Server {
 public:
  Server(Dispatcher* dispatcher, const HttpOptions& options)
      : dispatcher_(*dispatcher), http_(Make(options)), max_body_(options.max_body) {
    http_->new_task_queue = [threads = options.threads] {
      return new httplib::ThreadPool(static_cast<std::size_t>(threads));
    };
    http_->set_payload_max_length(options.max_body);
    http_->set_keep_alive_max_count(kRequestsOfAConnection);
    http_->set_keep_alive_timeout(kKeepAliveSeconds);
    http_->set_tcp_nodelay(true);
    AddRoutes();
    // A port in use is an error: the library would share it.
    http_->set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    const auto colon = options.address.rfind(':');
    int port = -1;
    if (!http_->is_valid() || colon == std::string::npos ||
        !absl::SimpleAtoi(options.address.substr(colon + 1), &port) || port < 0 || port > 65535)
      throw Error(Code::kUnavailable, "cannot listen on '" + options.address + "', or read the certificate");
    std::string host = options.address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    port_ = port == 0 ? http_->bind_to_any_port(host) : http_->bind_to_port(host, port) ? port : -1;
    if (port_ < 0) throw Error(Code::kUnavailable, "cannot listen on " + options.address);
    thread_ = std::thread([this] {
      http_->listen_after_bind();
      ended_.set_value();
    });
    while (!http_->is_running()) std::this_thread::yield();
  }
  ~Server() {
    http_->stop();
    if (thread_.joinable()) thread_.join();
  }
  int port() const { return port_; }
  void Stop() { http_->stop(); }
  bool AwaitEnd(std::chrono::system_clock::time_point deadline) {
    return ended_.get_future().wait_until(deadline) == std::future_status::ready;
  }

 private:
  void AddRoutes() {
    const std::string model = kModel;
    // The library's own reader limits what it takes for a form to 8 KB, and curl calls all bodies forms.
    http_->Post(model + ":(predict|classify|regress)",
                [this](const httplib::Request& http, httplib::Response& response,
                       const httplib::ContentReader& reader) {
                  Answer("Run", true, &response, [&](Request* request) {
                    return Run(dispatcher_, http, Read(http, reader, &response), request);
                  });
                });
    http_->Get(model, [this](const httplib::Request& http, httplib::Response& response) {
      Answer("GetModelStatus", false, &response, [&](Request*) {
        ts::GetModelStatusResponse status;
        ModelStatus(dispatcher_, SpecOf(http), &status);
        return StatusToJson(status);
      });
    });
    http_->Get(model + "/metadata", [this](const httplib::Request& http, httplib::Response& response) {
      Answer("GetModelMetadata", false, &response, [&](Request*) {
        ts::GetModelMetadataResponse metadata;
        ModelMetadata(dispatcher_, SpecOf(http), &metadata);
        return MetadataToJson(metadata);
      });
    });
    http_->Get("/v2/health/live",
               [](const auto&, auto& response) { response.set_content(R"({"live":true})", kJson); });
    http_->Get("/v2/health/ready", [this](const auto&, auto& response) {
      const bool ready = dispatcher_.ready();
      response.status = ready ? 200 : 503;
      response.set_content(ready ? R"({"ready":true})" : R"({"ready":false})", kJson);
    });
    http_->Get("/metrics", [this](const auto&, auto& response) {
      std::string text = dispatcher_.Metrics();
      if (dispatcher_.has_models()) text += dispatcher_.models().Metrics();
      response.set_content(text, "text/plain; version=0.0.4");
    });
    // Requests that no route answered.
    http_->set_error_handler([](const httplib::Request& http, httplib::Response& response) {
      if (!response.body.empty()) return;
      const bool there = response.status != 404;
      response.set_content(
          ErrorJson(there ? "the request can't be read" : "there is no " + http.method + " " + http.path),
          kJson);
    });
  }

  // The body. Throws Error; then the rest of it is left, and the connection closed.
  std::string Read(const httplib::Request& http, const httplib::ContentReader& reader,
                   httplib::Response* response) const {
    std::string body;
    bool large = false;
    const auto add = [&](const char* data, std::size_t size) {
      large = size > max_body_ - body.size();
      if (!large) body.append(data, size);
      return !large;
    };
    const bool form = http.is_multipart_form_data();
    if (!form && reader(add)) return body;
    response->set_header("Connection", "close");
    if (form) Refuse("the body is a form of parts, not JSON");
    if (large || response->status == 413)
      throw Error(Code::kResourceExhausted, absl::StrCat("the body has more than ", max_body_, " bytes"));
    Refuse("the body can't be read");
  }

  // `function` returns JSON, or throws.
  template <typename Function>
  void Answer(const char* method, bool limited, httplib::Response* response, const Function& function) {
    const Status status = StatusOf([&] {
      const std::shared_ptr<Request> request = dispatcher_.Admit("http", method, limited);
      try {
        const std::string text = function(request.get());
        if (text.size() > max_body_)
          throw Error(Code::kResourceExhausted,
                      absl::StrCat("the response has more than ", max_body_, " bytes"));
        response->set_content(text, kJson);
      } catch (...) {
        request->SetStatus(CurrentStatus());
        throw;
      }
    });
    if (status.ok()) return;
    response->status = HttpStatus(*status.code);
    response->set_content(ErrorJson(status.message), kJson);
  }

  Dispatcher& dispatcher_;
  const std::unique_ptr<httplib::Server> http_;
  const std::size_t max_body_;
  int port_ = -1;
  std::thread thread_;
  std::promise<void> ended_;
};

HttpServer::HttpServer(Dispatcher* dispatcher, const HttpOptions& options)
    : server_(std::make_unique<Server>(dispatcher, options)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return server_->port(); }
void HttpServer::Stop() { server_->Stop(); }
bool HttpServer::AwaitEnd(std::chrono::system_clock::time_point deadline) {
  return server_->AwaitEnd(deadline);
}

}  // namespace server
