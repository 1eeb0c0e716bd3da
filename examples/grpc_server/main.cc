// SPDX-License-Identifier: Apache-2.0
// A server for the Open Inference Protocol: options, start, drain.
#include <absl/flags/declare.h>
#include <absl/flags/flag.h>
#include <absl/flags/parse.h>
#include <absl/flags/usage.h>
#include <absl/flags/usage_config.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "service.h"

ABSL_FLAG(std::string, address, "127.0.0.1", "to listen on");
ABSL_FLAG(uint16_t, port, 8001, "0: any that is free; it is printed");
ABSL_FLAG(absl::Duration, drain_delay, absl::ZeroDuration(), "after SIGTERM: not ready, but still serving");
ABSL_FLAG(absl::Duration, grace, absl::Seconds(30), "then: how long running calls may take");

ABSL_DECLARE_FLAG(std::string, models);
ABSL_DECLARE_FLAG(uint32_t, max_message);
ABSL_DECLARE_FLAG(std::string, optimize);
ABSL_DECLARE_FLAG(uint32_t, noop);

namespace {

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "grpc_server: " << message << std::endl;
  std::exit(1);
}

void CheckFlags() {
  const std::string optimize = absl::GetFlag(FLAGS_optimize);
  if (absl::GetFlag(FLAGS_max_message) > INT32_MAX) Fail("--max_message is below 2 GB");
  if (optimize != "none" && optimize != "default" && optimize != "bf16")
    Fail("--optimize is none, default or bf16");
  if (absl::GetFlag(FLAGS_noop) == 0 && !std::filesystem::is_directory(absl::GetFlag(FLAGS_models)))
    Fail("--models names no directory");
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("serves a directory of SavedModels by the Open Inference Protocol");
  absl::FlagsUsageConfig usage;  // --help tells of our flags, wherever they are
  usage.contains_help_flags = [](absl::string_view file) { return !absl::StrContains(file, "absl/"); };
  absl::SetFlagsUsageConfig(usage);
  if (absl::ParseCommandLine(argc, argv).size() > 1) Fail("takes options only; see --help");
  CheckFlags();
  sigset_t signals;  // blocked before there are threads, which inherit that
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Service service;
  const std::string address = absl::GetFlag(FLAGS_address);
  int port = 0;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat(address, ":", absl::GetFlag(FLAGS_port)),
                           grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder.SetMaxReceiveMessageSize(static_cast<int>(absl::GetFlag(FLAGS_max_message)));
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0)
    Fail(absl::StrCat("cannot listen on ", address, ":", absl::GetFlag(FLAGS_port)));
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  health->SetServingStatus(false);
  std::cout << "listening on " << address << ":" << port << std::endl;

  std::thread loader([&] {
    service.Load();
    health->SetServingStatus(true);
    std::cout << "ready" << std::endl;
  });
  int signal = 0;
  sigwait(&signals, &signal);
  if (!service.ready()) std::_Exit(0);  // a load cannot be interrupted
  loader.join();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the next one ends the process
  service.Drain();
  health->SetServingStatus(false);
  absl::SleepFor(absl::GetFlag(FLAGS_drain_delay));
  server->Shutdown(absl::ToChronoTime(absl::Now() + absl::GetFlag(FLAGS_grace)));
  std::cout << "drained" << std::endl;
}
