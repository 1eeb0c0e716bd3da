// SPDX-License-Identifier: Apache-2.0
// The engine's entry point: libsavedmodel.so opens this library and calls savedmodel_open_engine.
#include "core/engine.h"

#include "engine/base/logging.h"
#include "engine/base/options.h"
#include "engine/edit/editor.h"
#include "engine/graph/op_libraries.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/op_uses.h"
#include "engine/model/bundle.h"
#include "engine/warmup/examples.h"
#include "engine/warmup/records.h"
#include "engine/warmup/requests.h"
#include "savedmodel/export.h"

namespace savedmodel::engine {
namespace {

class TensorFlowEngine : public internal::Engine {
 public:
  std::unique_ptr<internal::EngineModel> Load(const std::string& path, const LoadOptions& options) override {
    const QuietInfo quiet;
    OpenOpLibrariesOfEnvironment();
    return LoadBundle(path, options);
  }
  Inspection Inspect(const std::string& path) override {
    const QuietInfo quiet;
    OpenOpLibrariesOfEnvironment();
    return InspectSavedModel(path);
  }
  std::unique_ptr<internal::EngineEdit> OpenEdit(const std::string& path) override {
    const QuietInfo quiet;
    OpenOpLibrariesOfEnvironment();
    return edit::Open(path);
  }
  std::vector<std::string> RegisteredOps() override { return ListRegisteredOps(); }
  std::string ParseSessionConfig(const std::string& text) override { return ParseConfigText(text); }
  std::vector<std::string> ReadRecords(const std::string& file) override { return warmup::ReadRecords(file); }
  void WriteRecords(const std::string& file, const std::vector<std::string>& records) override {
    warmup::WriteRecords(file, records);
  }
  std::vector<WarmupRequest> ParseRequests(const std::string& record) override {
    return warmup::ParseRequests(record);
  }
  std::string SerializeRequest(const WarmupRequest& request) override {
    return warmup::SerializeRequest(request);
  }
  std::string SerializeExample(const std::map<std::string, Feature>& features) override {
    return warmup::SerializeExample(features);
  }
};

}  // namespace
}  // namespace savedmodel::engine

extern "C" SAVEDMODEL_API savedmodel::internal::Engine* savedmodel_open_engine(
    void (*log)(const savedmodel::LogRecord&), int stderr_level) {
  savedmodel::engine::ForwardLogs(log, stderr_level);
  static auto* engine = new savedmodel::engine::TensorFlowEngine;
  return engine;
}
