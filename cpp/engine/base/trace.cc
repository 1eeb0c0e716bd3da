// SPDX-License-Identifier: Apache-2.0
#include "engine/base/trace.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "savedmodel/error.h"
#include "tensorflow/core/framework/step_stats.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// A timeline label reads "name = Op(input, input)".
std::string OpOf(const tf::NodeExecStats& stats) {
  const std::string& label = stats.timeline_label();
  const auto equals = label.find(" = ");
  if (equals == std::string::npos) return "";
  return label.substr(equals + 3, label.find('(', equals) - equals - 3);
}

}  // namespace

Trace ReadTrace(const tf::RunMetadata& metadata) {
  Trace trace;
  for (const tf::DeviceStepStats& device : metadata.step_stats().dev_stats()) {
    for (const tf::NodeExecStats& node : device.node_stats()) {
      TraceEvent event;
      event.device = device.device();
      event.node = node.node_name();
      event.op = OpOf(node);
      event.thread = node.thread_id();
      event.start_ns = node.all_start_nanos() > 0 ? node.all_start_nanos() : node.all_start_micros() * 1000;
      event.duration_ns =
          node.all_end_rel_nanos() > 0 ? node.all_end_rel_nanos() : node.all_end_rel_micros() * 1000;
      trace.events.push_back(std::move(event));
    }
  }
  std::int64_t end = 0;
  for (const TraceEvent& event : trace.events) {
    if (trace.start_ns == 0 || event.start_ns < trace.start_ns) trace.start_ns = event.start_ns;
    end = std::max(end, event.start_ns + event.duration_ns);
  }
  trace.duration_ns = end - trace.start_ns;
  trace.session = true;
  metadata.SerializeToString(&trace.run_metadata);
  return trace;
}

void AddRunMetadata(Trace* trace) {
  tf::RunMetadata metadata;
  std::map<std::string, tf::DeviceStepStats*> devices;
  for (const TraceEvent& event : trace->events) {
    tf::DeviceStepStats*& device = devices[event.device];
    if (device == nullptr) {
      device = metadata.mutable_step_stats()->add_dev_stats();
      device->set_device(event.device);
    }
    tf::NodeExecStats* node = device->add_node_stats();
    node->set_node_name(event.node);
    node->set_timeline_label(event.node + " = " + event.op + "()");
    node->set_thread_id(event.thread);
    node->set_all_start_micros(event.start_ns / 1000);
    node->set_all_start_nanos(event.start_ns);
    node->set_op_end_rel_micros(event.duration_ns / 1000);
    node->set_op_end_rel_nanos(event.duration_ns);
    node->set_all_end_rel_micros(event.duration_ns / 1000);
    node->set_all_end_rel_nanos(event.duration_ns);
  }
  metadata.SerializeToString(&trace->run_metadata);
}

TraceTurn::TraceTurn(const tf::RunOptions& options) {
  static auto* tracer = new std::timed_mutex;
  const auto level = options.trace_level();
  if (level != tf::RunOptions::FULL_TRACE && level != tf::RunOptions::HARDWARE_TRACE) return;
  lock_ = std::unique_lock(*tracer, std::defer_lock);
  if (options.timeout_in_ms() <= 0) {
    lock_.lock();
  } else if (!lock_.try_lock_for(std::chrono::milliseconds(options.timeout_in_ms()))) {
    throw Error(Code::kDeadlineExceeded, "the timeout passed while another run was traced");
  }
}

}  // namespace savedmodel::engine
