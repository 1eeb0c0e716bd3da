// SPDX-License-Identifier: Apache-2.0
// A server for SavedModels: options, start, drain.
#include <absl/flags/flag.h>
#include <absl/flags/parse.h>
#include <absl/flags/usage.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <savedmodel/savedmodel.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <thread>

#include "dispatcher.h"
#include "http.h"
#include "log.h"
#include "models.h"
#include "open_inference.h"
#include "serving.h"

ABSL_FLAG(std::string, address, "127.0.0.1:8500", "of gRPC to listen on; port 0: any that is free");
ABSL_FLAG(std::string, http, "", "address of HTTP to listen on, such as 127.0.0.1:8501; empty: none");
ABSL_FLAG(std::string, models, "", "directory in TensorFlow Serving's layout: NAME/VERSION/saved_model.pb");
ABSL_FLAG(std::string, model_config_file, "",
          "or TensorFlow Serving's configuration file; read anew every --poll");
ABSL_FLAG(uint16_t, versions, 1, "of each model in --models, the highest that can be loaded; 0: all");
ABSL_FLAG(absl::Duration, poll, absl::Seconds(1), "between two looks for new versions");
ABSL_FLAG(bool, bf16, false, "matrix products and convolutions in bfloat16");
ABSL_FLAG(uint16_t, threads, 0, "of a model, for one run; 0: one for each CPU");
ABSL_FLAG(bool, batching, false, "requests that come together share runs, where that is measured to pay");
ABSL_FLAG(uint32_t, max_batch_size, 0, "rows of a batch; 0: measured");
ABSL_FLAG(absl::Duration, max_delay, absl::ZeroDuration(),
          "that a request waits for others to share its batch");
ABSL_FLAG(uint32_t, requests, 1024, "that run or wait; more are refused");
ABSL_FLAG(uint32_t, http_threads, 256, "each serves one connection at a time");
ABSL_FLAG(int32_t, max_message, 256 << 20, "bytes of a request or a response");
ABSL_FLAG(std::string, tls_cert, "", "file with the certificate chain (PEM): both protocols are encrypted");
ABSL_FLAG(std::string, tls_key, "", "file with its private key");
ABSL_FLAG(std::string, tls_client_ca, "", "file with the authorities that clients' certificates must have");
ABSL_FLAG(std::string, log, "text", "text, or json: an object for each line");
ABSL_FLAG(bool, log_requests, false, "a line for each request");
ABSL_FLAG(absl::Duration, drain_delay, absl::ZeroDuration(), "after SIGTERM: not ready, but still serving");
ABSL_FLAG(absl::Duration, grace, absl::Seconds(30), "then: how long running calls may take");

namespace server {
namespace {
namespace fs = std::filesystem;

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "server: " << message << std::endl;
  std::_Exit(1);  // threads may be running
}

std::string ReadFile(const std::string& name) {
  std::ifstream stream(name, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw savedmodel::Error(savedmodel::Code::kNotFound, "cannot read " + name);
  return text;
}

void CheckFlags() {
  const std::string directory = absl::GetFlag(FLAGS_models), config = absl::GetFlag(FLAGS_model_config_file);
  if (directory.empty() == config.empty()) Fail("give either --models or --model_config_file");
  std::error_code ignored;
  if (!directory.empty() && !fs::is_directory(directory, ignored)) Fail("--models names no directory");
  const absl::Duration poll = absl::GetFlag(FLAGS_poll);
  if (poll <= absl::ZeroDuration() || poll == absl::InfiniteDuration()) Fail("--poll is above 0, and finite");
  if (absl::GetFlag(FLAGS_max_delay) < absl::ZeroDuration()) Fail("--max_delay is not below 0");
  if (absl::GetFlag(FLAGS_http_threads) == 0) Fail("--http_threads is above 0");
  if (absl::GetFlag(FLAGS_tls_cert).empty() != absl::GetFlag(FLAGS_tls_key).empty())
    Fail("--tls_cert and --tls_key go together");
  if (!absl::GetFlag(FLAGS_tls_client_ca).empty() && absl::GetFlag(FLAGS_tls_cert).empty())
    Fail("--tls_client_ca needs --tls_cert");
  const std::string log = absl::GetFlag(FLAGS_log);
  if (log != "text" && log != "json") Fail("--log is text or json");
  UseJsonLog(log == "json");
}

ModelOptions OptionsOfModels() {
  ModelOptions options;
  options.load.threads = absl::GetFlag(FLAGS_threads);
  if (absl::GetFlag(FLAGS_bf16)) options.load.optimize = savedmodel::Optimize::kBf16;
  options.load.counters = true;
  options.load.warmup = true;
  options.load.max_queue = absl::GetFlag(FLAGS_requests) + std::size_t{1};  // the dispatcher counts them
  options.poll = absl::ToChronoNanoseconds(absl::GetFlag(FLAGS_poll));
  options.batching = absl::GetFlag(FLAGS_batching);
  options.batch.max_batch_size = absl::GetFlag(FLAGS_max_batch_size);
  options.batch.max_delay = absl::ToChronoNanoseconds(absl::GetFlag(FLAGS_max_delay));
  options.batch.max_queue = options.load.max_queue;
  return options;
}

// Where the models are now. A configuration file counts once two reads in a row agree: it may be written
// meanwhile.
class Sources {
 public:
  // Nothing while a file may be being written.
  std::optional<std::vector<Source>> Read() {
    const std::string file = absl::GetFlag(FLAGS_model_config_file);
    if (file.empty()) return ReadDirectory(absl::GetFlag(FLAGS_models), absl::GetFlag(FLAGS_versions));
    std::string text = ReadFile(file);
    const bool settled = !known_ || text == *known_;
    known_ = std::move(text);
    if (!settled) return std::nullopt;
    return ParseConfig(*known_, file);
  }

 private:
  std::optional<std::string> known_;
};

std::shared_ptr<grpc::ServerCredentials> Credentials() {
  if (absl::GetFlag(FLAGS_tls_cert).empty()) return grpc::InsecureServerCredentials();
  const std::string client_ca = absl::GetFlag(FLAGS_tls_client_ca);
  grpc::SslServerCredentialsOptions options(client_ca.empty()
                                                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back(
      {ReadFile(absl::GetFlag(FLAGS_tls_key)), ReadFile(absl::GetFlag(FLAGS_tls_cert))});
  if (!client_ca.empty()) options.pem_root_certs = ReadFile(client_ca);
  return grpc::SslServerCredentials(options);
}

// Loads the models, and looks for others until `stopped`.
void Serve(Models* models, Dispatcher* dispatcher, grpc::HealthCheckServiceInterface* health,
           const absl::Notification& stopped) {
  Sources sources;
  try {
    models->Serve(*sources.Read());
  } catch (const std::exception& error) {
    Fail(error.what());
  }
  dispatcher->Serve(models);
  health->SetServingStatus(true);
  if (!dispatcher->ready()) health->SetServingStatus(false);  // it was drained meanwhile
  std::cout << "ready" << std::endl;
  std::string known;
  while (!stopped.WaitForNotificationWithTimeout(absl::GetFlag(FLAGS_poll))) {
    models->LearnWhatIsQuick();
    try {
      if (const auto read = sources.Read()) models->Serve(*read);
      known.clear();
    } catch (const std::exception& error) {  // what is loaded goes on
      if (known != error.what()) Log(Level::kError, absl::StrCat("cannot look for models: ", error.what()));
      known = error.what();
    }
  }
}

void Run() {
  CheckFlags();
  sigset_t signals;  // blocked before there are threads, which inherit that
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Models models(OptionsOfModels());
  Dispatcher dispatcher({absl::GetFlag(FLAGS_requests), absl::GetFlag(FLAGS_log_requests)});
  const auto max_message = static_cast<std::size_t>(absl::GetFlag(FLAGS_max_message));
  const std::unique_ptr<grpc::Service> services[] = {MakeOpenInference(&dispatcher, max_message),
                                                     MakePredictionService(&dispatcher, max_message),
                                                     MakeModelService(&dispatcher)};
  const std::string address = absl::GetFlag(FLAGS_address);
  int port = 0;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, Credentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder.SetMaxReceiveMessageSize(absl::GetFlag(FLAGS_max_message));
  for (const auto& service : services) builder.RegisterService(service.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) Fail("cannot listen on " + address);
  auto* const health = server->GetHealthCheckService();
  health->SetServingStatus(false);
  std::cout << "listening on " << address.substr(0, address.rfind(':') + 1) << port << std::endl;
  std::optional<HttpServer> http;
  if (const std::string on = absl::GetFlag(FLAGS_http); !on.empty()) {
    try {
      http.emplace(&dispatcher,
                   HttpOptions{on, max_message, static_cast<int>(absl::GetFlag(FLAGS_http_threads)),
                               absl::GetFlag(FLAGS_tls_cert), absl::GetFlag(FLAGS_tls_key),
                               absl::GetFlag(FLAGS_tls_client_ca)});
    } catch (const std::exception& error) {
      Fail(error.what());
    }
    std::cout << "HTTP on " << on.substr(0, on.rfind(':') + 1) << http->port() << std::endl;
  }

  absl::Notification stopped;
  std::thread serving([&] { Serve(&models, &dispatcher, health, stopped); });
  int signal = 0;
  sigwait(&signals, &signal);
  if (!dispatcher.ready()) std::_Exit(0);  // a load cannot be interrupted
  stopped.Notify();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the next one ends the process
  dispatcher.Drain();
  health->SetServingStatus(false);
  absl::SleepFor(absl::GetFlag(FLAGS_drain_delay));
  const auto end = absl::ToChronoTime(absl::Now() + absl::GetFlag(FLAGS_grace));
  if (http) http->Stop();
  server->Shutdown(end);
  if (http && !http->AwaitEnd(end)) {
    Log(Level::kError, "HTTP requests did not end in time");
    std::cout << "drained" << std::endl;
    std::_Exit(0);  // a client that sends slowly can't be made to stop
  }
  serving.join();
  std::cout << "drained" << std::endl;
}

}  // namespace
}  // namespace server

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "serves SavedModels by TensorFlow Serving's API (gRPC, REST) and the Open Inference Protocol (gRPC)");
  if (absl::ParseCommandLine(argc, argv).size() > 1) {
    std::cerr << "server: takes options only; see --help\n";
    return 1;
  }
  try {
    server::Run();
  } catch (const std::exception& error) {
    server::Fail(error.what());
  }
}
