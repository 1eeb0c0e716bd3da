// SPDX-License-Identifier: Apache-2.0
#include "models.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "errors.h"
#include "log.h"

namespace server {
namespace fs = std::filesystem;
using savedmodel::Code, savedmodel::Error, savedmodel::Model;

namespace {

// Waking another thread takes about as long.
constexpr double kQuickSeconds = 30e-6;
constexpr std::uint64_t kRunsToLearnFrom = 32;

std::int64_t VersionOf(const Model& model) {
  std::int64_t number = 0;
  (void)absl::SimpleAtoi(fs::path(model.path()).filename().string(), &number);
  return number;
}

bool HasVersions(const fs::path& model) {
  std::error_code failed;
  const auto entries = fs::directory_iterator(model, failed);
  return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
    std::int64_t number = 0;
    return absl::SimpleAtoi(entry.path().filename().string(), &number);
  });
}

savedmodel::Batcher StartBatcher(const Endpoint& endpoint, const savedmodel::BatchOptions& options) {
  try {
    return savedmodel::Batcher::Start(endpoint.function, options);
  } catch (const Error& error) {  // it has no rows
    Log(Level::kInfo,
        absl::StrCat("no batches for ", endpoint.name, ", signature '", endpoint.signature,
                     "': ", error.what()),
        {{"model", endpoint.name}, {"signature", endpoint.signature}});
    return {};
  }
}

}  // namespace

Loaded::Loaded(const std::string& name, Model model, const ModelOptions& options)
    : model_(std::move(model)), version_(VersionOf(model_)) {
  for (const auto& [key, signature] : model_.signatures()) {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->name = name;
    endpoint->model = model_;
    endpoint->version = version_;
    endpoint->signature = key;
    endpoint->method = signature.method_name;
    endpoint->function = model_.function(key);
    if (options.batching) endpoint->batcher = StartBatcher(*endpoint, options.batch);
    endpoints_[key] = std::move(endpoint);
  }
}

const std::shared_ptr<const Endpoint>& Loaded::Find(const std::string& signature) const {
  const auto found = endpoints_.find(signature.empty() ? model_.default_signature() : signature);
  if (found != endpoints_.end()) return found->second;
  const auto add_key = [](std::string* text, const auto& one) { absl::StrAppend(text, "'", one.first, "'"); };
  const std::string known = absl::StrJoin(endpoints_, ", ", add_key);
  if (signature.empty()) Refuse("which signature? there are ", known.empty() ? "none" : known);
  Refuse("there is no signature '", signature, "', but ", known.empty() ? "none" : known);
}

void Loaded::LearnWhatIsQuick() const {
  for (const savedmodel::RunCounters& counters : model_.Counters()) {
    const auto found = endpoints_.find(counters.signature);
    if (found == endpoints_.end() || counters.successes < kRunsToLearnFrom) continue;
    found->second->quick = counters.Quantile(0.9) < kQuickSeconds;
  }
}

void Loaded::AddMetrics(savedmodel::ModelMetrics* metrics) const {
  metrics->version = absl::StrCat(version_);
  metrics->signatures = model_.Counters();
  for (const auto& [key, endpoint] : endpoints_) {
    if (endpoint->batcher) metrics->batchers.emplace_back(key, endpoint->batcher.Statistics());
  }
}

Served::Served(Source source, const ModelOptions& options)
    : source_(std::move(source)), options_(options), labels_(source_.labels) {
  savedmodel::WatchOptions watch;
  watch.load = options.load;
  watch.poll = options.poll;
  watch.versions = source_.only.empty() ? source_.versions : 0;
  watch.only = source_.only;
  watch.required = false;
  // Before its first request: makes signatures ready, and measures batches.
  watch.warm_up = [this](const Model& model) {
    if (model.warmed_up() == 0) model.Prepare();
    Keep(model);
  };
  watch.on_change = [this](const savedmodel::VersionChange& change) {
    const bool good = change.error.empty();
    const std::string path = absl::StrCat(source_.path, "/", change.version);
    nlohmann::json fields{{"model", source_.name}, {"version", change.version}, {"seconds", change.seconds}};
    if (!good) fields["error"] = change.error;
    Log(good ? Level::kInfo : Level::kError,
        good ? "loaded " + path : absl::StrCat("cannot serve ", path, ": ", change.error), fields);
    if (watches_) DropReplaced();
  };
  watched_ = savedmodel::Watched::Start(source_.path, watch);
  watches_ = true;
}

void Served::SetLabels(std::map<std::string, std::int64_t> labels) {
  const std::lock_guard<std::mutex> lock(mutex_);
  labels_ = std::move(labels);
}

std::shared_ptr<const Loaded> Served::Keep(const Model& model) const {
  const std::string path = model.path();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = loaded_.find(path);
    // A version may be replaced by one of the same number.
    if (found != loaded_.end() && !found->second->model().closed()) return found->second;
  }
  auto made = std::make_shared<const Loaded>(source_.name, model, options_);
  const std::lock_guard<std::mutex> lock(mutex_);
  return loaded_[path] = std::move(made);
}

void Served::DropReplaced() const {
  std::vector<std::shared_ptr<const Loaded>> dropped;  // go without the lock
  const std::vector<std::int64_t> there = watched_.status().versions;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto one = loaded_.begin(); one != loaded_.end();) {
    const bool stays = std::find(there.begin(), there.end(), one->second->version()) != there.end();
    if (!stays) dropped.push_back(std::move(one->second));
    one = stays ? std::next(one) : loaded_.erase(one);
  }
}

std::shared_ptr<const Loaded> Served::Choose(const VersionChoice& choice) const {
  std::optional<std::int64_t> number = choice.number;
  if (!choice.label.empty()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = labels_.find(choice.label);
    if (found == labels_.end())
      throw Error(Code::kNotFound,
                  absl::StrCat("model '", source_.name, "' has no version label '", choice.label, "'"));
    number = found->second;
  }
  try {
    return Keep(number ? watched_.model(*number) : watched_.model());
  } catch (const Error& error) {  // which tells of files: the log has it
    if (error.code() == Code::kNotFound)
      throw Error(Code::kNotFound,
                  absl::StrCat("version ", *number, " of the model '", source_.name, "' is not loaded"));
    if (error.code() != Code::kUnavailable) throw;
    const std::string which = number ? absl::StrCat("not version ", *number) : "no version";
    throw Error(Code::kUnavailable, which + " of the model '" + source_.name + "' could be loaded");
  }
}

std::vector<std::shared_ptr<const Loaded>> Served::loaded() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<const Loaded>> all;
  for (const auto& [path, one] : loaded_) all.push_back(one);
  return all;
}

void Models::Serve(const std::vector<Source>& sources) {
  for (const Source& source : sources) {
    std::shared_ptr<Served> known;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (const auto found = models_.find(source.name); found != models_.end()) known = found->second;
    }
    if (known != nullptr && known->source().SameVersions(source)) {
      known->SetLabels(source.labels);
      continue;
    }
    auto started = std::make_shared<Served>(source, options_);
    const std::lock_guard<std::mutex> lock(mutex_);
    models_[source.name].swap(started);  // the one that it replaces goes at the end of the scope
  }
  std::vector<std::shared_ptr<Served>> gone;  // go without the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto one = models_.begin(); one != models_.end();) {
    const Served& served = *one->second;
    const bool listed = std::any_of(sources.begin(), sources.end(),
                                    [&](const Source& source) { return source.name == one->first; });
    const bool empty =
        served.source().vanishes && !served.status().versions.empty() && !HasVersions(served.source().path);
    if (listed && !empty) {
      ++one;
      continue;
    }
    Log(Level::kInfo, "no longer serving " + one->first, {{"model", one->first}});
    gone.push_back(std::move(one->second));
    one = models_.erase(one);
  }
}

std::shared_ptr<const Served> Models::Find(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = models_.find(name);
  if (found == models_.end()) throw Error(Code::kNotFound, "there is no model '" + name + "'");
  return found->second;
}

std::vector<std::shared_ptr<const Served>> Models::all() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<const Served>> all;
  for (const auto& [name, served] : models_) all.push_back(served);
  return all;
}

void Models::LearnWhatIsQuick() const {
  for (const auto& served : all()) {
    for (const auto& loaded : served->loaded()) loaded->LearnWhatIsQuick();
  }
}

std::string Models::Metrics() const {
  std::vector<savedmodel::ModelMetrics> metrics;
  for (const auto& served : all()) {
    bool first = true;
    for (const auto& loaded : served->loaded()) {
      savedmodel::ModelMetrics& one = metrics.emplace_back();
      one.model = served->source().name;
      loaded->AddMetrics(&one);
      if (std::exchange(first, false)) one.watched = served->status();
    }
  }
  return savedmodel::PrometheusText(metrics);
}

}  // namespace server
