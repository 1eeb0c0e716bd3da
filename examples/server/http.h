// SPDX-License-Identifier: Apache-2.0
// TensorFlow Serving's REST API, health and metrics over HTTP:
//
//   POST /v1/models/NAME[/versions/N|/labels/LABEL]:predict|classify|regress
//   GET  /v1/models/NAME[/versions/N|/labels/LABEL][/metadata]
//   GET  /v2/health/live, /v2/health/ready, /metrics
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "dispatcher.h"

namespace server {

struct HttpOptions {
  std::string address;  // "127.0.0.1:8501"; port 0: any that is free
  std::size_t max_body = 0;
  int threads = 0;                          // each serves one connection at a time
  std::string certificate, key, client_ca;  // files; with a certificate, HTTPS
};

// Listens from its construction on, until Stop.
class HttpServer {
 public:
  // Throws Error (kUnavailable) if it can't listen.
  HttpServer(Dispatcher* dispatcher, const HttpOptions& options);
  ~HttpServer();
  int port() const;
  void Stop();  // takes no more requests, but answers those that it has
  // Once, after Stop. False if there are still some.
  bool AwaitEnd(std::chrono::system_clock::time_point deadline);

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace server
