// SPDX-License-Identifier: Apache-2.0
#include "engine/base/options.h"

#include <cmath>

#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "savedmodel/error.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// Keeps the first error, which the parser would only log.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void RecordError(int line, int column, absl::string_view message) override {
    if (!text.empty()) return;
    text = "line " + std::to_string(line + 1) + ", column " + std::to_string(column + 1) + ": " +
           std::string(message);
  }
  std::string text;
};

}  // namespace

std::string ParseConfigText(const std::string& text) {
  tf::ConfigProto config;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &config)) {
    throw Error(Code::kInvalidArgument, "session config: not a ConfigProto in text form: " + error.text);
  }
  return config.SerializeAsString();
}

tf::SessionOptions MakeSessionOptions(const LoadOptions& options) {
  const SessionOptions& session = options.session;
  tf::SessionOptions result;
  tf::ConfigProto& config = result.config;
  if (!config.ParseFromString(session.config)) {
    throw Error(Code::kInvalidArgument, "session config: these bytes are not a serialized ConfigProto");
  }
  if (config.graph_options().build_cost_model() > 0) {
    // TensorFlow CHECK-fails on the second callable of such a session.
    throw Error(Code::kUnimplemented, "session config: graph_options.build_cost_model is not supported");
  }
  if (session.inter_op_threads) {
    // The first session of the process determines the size of the shared pool.
    config.set_inter_op_parallelism_threads(*session.inter_op_threads);
    config.set_use_per_session_threads(true);
  }
  tf::GPUOptions* gpu = config.mutable_gpu_options();
  if (session.gpu_memory_fraction) gpu->set_per_process_gpu_memory_fraction(*session.gpu_memory_fraction);
  if (session.allow_growth) gpu->set_allow_growth(*session.allow_growth);
  if (session.visible_gpus) gpu->set_visible_device_list(*session.visible_gpus);
  if (session.log_device_placement) config.set_log_device_placement(*session.log_device_placement);
  if (session.allow_soft_placement) {
    config.set_allow_soft_placement(*session.allow_soft_placement);
  } else if (!options.device.empty()) {
    config.set_allow_soft_placement(true);
  }
  if (session.xla) {
    auto* optimizer = config.mutable_graph_options()->mutable_optimizer_options();
    optimizer->set_global_jit_level(*session.xla ? tf::OptimizerOptions::ON_1 : tf::OptimizerOptions::OFF);
    optimizer->set_cpu_global_jit(*session.xla);
  }
  return result;
}

tf::RunOptions MakeRunOptions(const RunOptions& options, const tf::RunOptions& base) {
  tf::RunOptions result = base;
  tf::RunOptions given;
  if (!given.ParseFromString(options.proto)) {
    throw Error(Code::kInvalidArgument, "run options: these bytes are not a serialized RunOptions");
  }
  result.MergeFrom(given);
  if (options.timeout) {
    result.set_timeout_in_ms(
        static_cast<std::int64_t>(std::ceil(std::min(options.timeout->count(), 1e12) * 1e3)));
  }
  if (options.trace) result.set_trace_level(tf::RunOptions::FULL_TRACE);
  return result;
}

}  // namespace savedmodel::engine
