// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "savedmodel/batcher.h"
#include "savedmodel/counters.h"
#include "savedmodel/export.h"
#include "savedmodel/watched.h"

namespace savedmodel {

// The metrics of one model, as a service names it.
struct ModelMetrics {
  std::string model;                                              // the service's name for it
  std::string version;                                            // such as "3"; may be empty
  std::optional<std::size_t> weight_bytes;                        // Model::weight_bytes
  std::vector<RunCounters> signatures;                            // Model::Counters
  std::vector<std::pair<std::string, BatchStatistics>> batchers;  // by signature
  std::optional<WatchStatus> watched;                             // Watched::status
};

// The metrics in Prometheus' text format, version 0.0.4, for a service's /metrics:
//
//   savedmodel_request_duration_seconds{model,version,signature,code}  histogram of runs; "OK": successes
//   savedmodel_queue_seconds_total, savedmodel_queued_requests_total{model,version,signature}  of RunAsync
//   savedmodel_weight_bytes{model,version}  gauge
//   savedmodel_batch_rows{model,version,signature}  histogram of runs by rows, with padding
//   savedmodel_batch_requests_total, _refused_total, _failures_total, _retries_total, _padded_rows_total,
//   _queue_seconds_total{model,version,signature}, and the gauge savedmodel_batch_waiting_requests
//   savedmodel_version_switches_total{model}; the gauges savedmodel_loaded_versions, _failed_versions{model}
//
// Buckets of durations are powers of two times 128 ns. Strings are escaped as the format asks; models with
// equal names and versions must not occur twice.
SAVEDMODEL_API std::string PrometheusText(const std::vector<ModelMetrics>& models);

}  // namespace savedmodel
