// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/metrics.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "core/with_errors.h"
#include "savedmodel/error.h"

namespace savedmodel {
namespace {

constexpr std::size_t kPerDoubling = 4;  // buckets of RunCounters

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Number(double value) {
  if (std::isinf(value)) return "+Inf";
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;  // whatever the locale
  return std::string(text, end);
}

using Labels = std::vector<std::pair<const char*, std::string>>;

// One metric of all models.
class Family {
 public:
  Family(std::string* text, const std::string& name, const char* type, const char* help)
      : text_(*text), name_("savedmodel_" + name) {
    head_ = "# HELP " + name_ + " " + help + "\n# TYPE " + name_ + " " + type + "\n";
  }

  void Add(const Labels& labels, const std::string& value, const char* suffix = "") {
    text_ += std::exchange(head_, "");
    text_ += name_ + suffix + "{";
    for (std::size_t i = 0; i < labels.size(); ++i) {
      text_ += (i == 0 ? "" : ",") + std::string(labels[i].first) + "=\"" + Escaped(labels[i].second) + "\"";
    }
    text_ += "} " + value + "\n";
  }
  void Add(const Labels& labels, std::uint64_t value) { Add(labels, std::to_string(value)); }

  // `counts` of values up to each of `bounds`, of which the last is infinite.
  void Histogram(const Labels& labels, const std::vector<double>& bounds,
                 const std::vector<std::uint64_t>& counts, double sum) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      below += counts[i];
      Labels bucket = labels;
      bucket.emplace_back("le", Number(bounds[i]));
      Add(bucket, std::to_string(below), "_bucket");
    }
    Add(labels, Number(sum), "_sum");
    Add(labels, std::to_string(below), "_count");
  }

 private:
  std::string& text_;
  const std::string name_;
  std::string head_;  // until the first sample
};

Labels Of(const ModelMetrics& model) { return {{"model", model.model}}; }

Labels VersionOf(const ModelMetrics& model) { return {{"model", model.model}, {"version", model.version}}; }

Labels Of(const ModelMetrics& model, const std::string& signature) {
  Labels labels = VersionOf(model);
  labels.emplace_back("signature", signature);
  return labels;
}

// Signatures with different outputs are one.
std::vector<RunCounters> BySignature(const std::vector<RunCounters>& runs) {
  std::map<std::string, RunCounters> merged;
  for (const RunCounters& run : runs) {
    RunCounters& sum = merged[run.signature];
    sum.signature = run.signature;
    sum.successes += run.successes;
    sum.total_seconds += run.total_seconds;
    sum.queued += run.queued;
    sum.queue_seconds += run.queue_seconds;
    for (std::size_t i = 0; i < run.latency.size(); ++i) sum.latency[i] += run.latency[i];
    for (const auto& [code, failed] : run.failures) {
      RunCounters::Failures& all = sum.failures[code];
      all.total_seconds += failed.total_seconds;
      for (std::size_t i = 0; i < failed.latency.size(); ++i) all.latency[i] += failed.latency[i];
    }
  }
  std::vector<RunCounters> result;
  for (auto& [signature, sum] : merged) result.push_back(std::move(sum));
  return result;
}

std::vector<std::pair<std::string, BatchStatistics>> BySignature(
    const std::vector<std::pair<std::string, BatchStatistics>>& batchers) {
  std::map<std::string, BatchStatistics> merged;
  for (const auto& [signature, batches] : batchers) {
    BatchStatistics& sum = merged[signature];
    sum.requests += batches.requests;
    sum.refused += batches.refused;
    sum.failed += batches.failed;
    sum.batches += batches.batches;
    sum.rows += batches.rows;
    sum.padded_rows += batches.padded_rows;
    sum.retries += batches.retries;
    sum.waiting += batches.waiting;
    sum.queue_seconds += batches.queue_seconds;
    for (std::size_t i = 0; i < batches.sizes.size(); ++i) sum.sizes[i] += batches.sizes[i];
  }
  return {merged.begin(), merged.end()};
}

void AddDurations(Labels labels, const std::string& code,
                  const std::array<std::uint64_t, RunCounters::kBuckets>& latency, double seconds,
                  Family* to) {
  labels.emplace_back("code", code);
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts(1);
  for (std::size_t i = 0; i < latency.size(); ++i) {
    counts.back() += latency[i];
    if (i % kPerDoubling != 0 && i + 1 != latency.size()) continue;
    bounds.push_back(RunCounters::UpperBound(i));
    counts.push_back(0);
  }
  to->Histogram(labels, bounds, counts, seconds);
}

std::string Text(std::vector<ModelMetrics> models) {
  std::string text;
  for (ModelMetrics& model : models) {
    model.signatures = BySignature(model.signatures);
    model.batchers = BySignature(model.batchers);
  }
  const auto family = [&](const char* name, const char* type, const char* help, const auto& add) {
    Family made(&text, name, type, help);
    for (const ModelMetrics& model : models) add(model, made);
  };
  const auto of_signatures = [&](const char* name, const char* type, const char* help, const auto& add) {
    family(name, type, help, [&](const ModelMetrics& model, Family& made) {
      for (const RunCounters& run : model.signatures) add(Of(model, run.signature), run, made);
    });
  };
  const auto of_batchers = [&](const char* name, const char* type, const char* help, const auto& value) {
    family(name, type, help, [&](const ModelMetrics& model, Family& made) {
      for (const auto& [signature, batches] : model.batchers) value(Of(model, signature), batches, made);
    });
  };
  const auto count_of_batchers = [&](const char* name, const char* type, const char* help,
                                     const std::function<std::string(const BatchStatistics&)>& value) {
    of_batchers(name, type, help, [&](const Labels& labels, const BatchStatistics& batches, Family& made) {
      made.Add(labels, value(batches));
    });
  };

  of_signatures("request_duration_seconds", "histogram", "Duration of runs by status code.",
                [](const Labels& labels, const RunCounters& run, Family& made) {
                  AddDurations(labels, "OK", run.latency, run.total_seconds, &made);
                  for (const auto& [code, failed] : run.failures) {
                    AddDurations(labels, CodeName(code), failed.latency, failed.total_seconds, &made);
                  }
                });
  of_signatures(
      "queued_requests_total", "counter", "Asynchronous runs that left their queue.",
      [](const Labels& labels, const RunCounters& run, Family& made) { made.Add(labels, run.queued); });
  of_signatures("queue_seconds_total", "counter", "Time that asynchronous runs waited in their queue.",
                [](const Labels& labels, const RunCounters& run, Family& made) {
                  made.Add(labels, Number(run.queue_seconds));
                });
  of_batchers("batch_rows", "histogram", "Runs of batches by their rows, with padding.",
              [](const Labels& labels, const BatchStatistics& batches, Family& made) {
                std::vector<double> bounds;
                const std::vector<std::uint64_t> counts(batches.sizes.begin(), batches.sizes.end());
                for (std::size_t i = 0; i < counts.size(); ++i) {
                  bounds.push_back(i + 1 == counts.size() ? HUGE_VAL : std::ldexp(1.0, static_cast<int>(i)));
                }
                made.Histogram(labels, bounds, counts,
                               static_cast<double>(batches.rows + batches.padded_rows));
              });
  const auto text_of = [](std::uint64_t count) { return std::to_string(count); };
  count_of_batchers("batch_requests_total", "counter", "Requests for batches, with those refused.",
                    [&](const BatchStatistics& batches) { return text_of(batches.requests); });
  count_of_batchers("batch_refused_total", "counter", "Requests of wrong shape, or for a full queue.",
                    [&](const BatchStatistics& batches) { return text_of(batches.refused); });
  count_of_batchers("batch_failures_total", "counter", "Requests that failed in the queue or in a run.",
                    [&](const BatchStatistics& batches) { return text_of(batches.failed); });
  count_of_batchers("batch_retries_total", "counter", "Runs of a part of a batch that failed.",
                    [&](const BatchStatistics& batches) { return text_of(batches.retries); });
  count_of_batchers("batch_padded_rows_total", "counter", "Rows that filled batches up.",
                    [&](const BatchStatistics& batches) { return text_of(batches.padded_rows); });
  count_of_batchers("batch_queue_seconds_total", "counter", "Time that requests waited for a run.",
                    [&](const BatchStatistics& batches) { return Number(batches.queue_seconds); });
  count_of_batchers("batch_waiting_requests", "gauge", "Requests in the queue.",
                    [&](const BatchStatistics& batches) { return text_of(batches.waiting); });
  family("weight_bytes", "gauge", "Bytes of variables, constants and packed weights in memory.",
         [](const ModelMetrics& model, Family& made) {
           if (model.weight_bytes) made.Add(VersionOf(model), *model.weight_bytes);
         });
  family("version_switches_total", "counter", "Times that a newer or older version replaced another.",
         [](const ModelMetrics& model, Family& made) {
           if (model.watched) made.Add(Of(model), static_cast<std::uint64_t>(model.watched->switches));
         });
  family("loaded_versions", "gauge", "Versions that are loaded.",
         [](const ModelMetrics& model, Family& made) {
           if (model.watched) made.Add(Of(model), model.watched->versions.size());
         });
  family("failed_versions", "gauge", "Versions that could not be loaded.",
         [](const ModelMetrics& model, Family& made) {
           if (model.watched) made.Add(Of(model), model.watched->failed.size());
         });
  return text;
}

}  // namespace

std::string PrometheusText(const std::vector<ModelMetrics>& models) {
  return internal::WithErrors("metrics", [&] { return Text(models); });
}

}  // namespace savedmodel
