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

constexpr std::uint64_t kRunsToLearnFrom = 32;

std::int64_t VersionOf(const Model& model) {
  std::int64_t number = 0;
  (void)absl::SimpleAtoi(fs::path(model.path()).filename().string(), &number);
  return number;
}

void HidePaths(const Source& source) {
  const fs::path parent = fs::path(source.path).parent_path();
  const fs::path folder = parent == "/" ? fs::path(source.path) : parent;
  std::error_code failed;
  HiddenPaths::Add(folder.string());
  for (const fs::path& path : {fs::absolute(folder, failed), fs::weakly_canonical(folder, failed)})
    HiddenPaths::Add(path.string());
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
  std::map<std::string, bool> known;  // of signatures with a function that is known; quick if all are
  for (const savedmodel::RunCounters& all : model_.Counters()) {
    if (endpoints_.count(all.signature) == 0) continue;
    FunctionSpeed& speed = speeds_[{all.signature, all.outputs}];
    savedmodel::RunCounters since = all;
    since.successes -= speed.until.successes;
    for (std::size_t i = 0; i < since.latency.size(); ++i) since.latency[i] -= speed.until.latency[i];
    const bool quick = since.Quantile(0.9) < kQuick.count();
    if (!quick || since.successes >= kRunsToLearnFrom) speed = {all, quick};
    if (speed.quick) {
      const auto [signature, fresh] = known.emplace(all.signature, *speed.quick);
      if (!fresh) signature->second &= *speed.quick;
    }
  }
  for (const auto& [key, endpoint] : endpoints_) {
    const auto found = known.find(key);
    endpoint->quick = found != known.end() && found->second;
  }
}

void Loaded::AddMetrics(savedmodel::ModelMetrics* metrics) const {
  metrics->version = absl::StrCat(version_);
  metrics->weight_bytes = model_.weight_bytes();
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
    auto made = std::make_shared<const Loaded>(source_.name, model, options_);
    const std::lock_guard<std::mutex> lock(mutex_);
    warmed_.push_back(std::move(made));
  };
  watch.on_change = [this](const savedmodel::VersionChange& change) {
    const bool good = change.error.empty();
    const std::string path = absl::StrCat(source_.path, "/", change.version);
    nlohmann::json fields{{"model", source_.name}, {"version", change.version}, {"seconds", change.seconds}};
    if (!good) fields["error"] = change.error;
    Log(good ? Level::kInfo : Level::kError,
        good ? "loaded " + path : absl::StrCat("cannot serve ", path, ": ", change.error), fields);
    if (!watches_) return;
    DropReplaced();
    List dropped;  // what was warmed up is among those that are used, or is not used
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(warmed_);
  };
  watched_ = savedmodel::Watched::Start(source_.path, watch);
  DropReplaced();
  watches_ = true;
  List dropped;
  const std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(warmed_);
}

void Served::SetLabels(std::map<std::string, std::int64_t> labels) {
  const std::lock_guard<std::mutex> lock(mutex_);
  labels_ = std::move(labels);
}

// A version may be replaced by another of its number, in the same folder.
bool Served::IsOf(const Loaded& loaded, const Model& model) {
  return &loaded.model().signatures() == &model.signatures();
}

std::shared_ptr<const Loaded> Served::Find(const Model& model) const {
  for (const auto* list : {&loaded_, &warmed_}) {
    for (const auto& one : *list) {
      if (IsOf(*one, model)) return one;
    }
  }
  return nullptr;
}

std::shared_ptr<const Loaded> Served::LoadedOf(const Model& model) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = Find(model)) return found;
  }
  // It was replaced since it was chosen: nothing is kept, or measured, for it.
  ModelOptions once = options_;
  once.batching = false;
  return std::make_shared<const Loaded>(source_.name, model, once);
}

void Served::DropReplaced() {
  const std::lock_guard<std::mutex> one_at_a_time(drop_mutex_);
  List current, dropped;  // go without the lock
  for (const std::int64_t version : watched_.status().versions) {
    try {
      const Model model = watched_.model(version);
      std::shared_ptr<const Loaded> found;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        found = Find(model);
      }
      current.push_back(found ? found : std::make_shared<const Loaded>(source_.name, model, options_));
    } catch (const Error&) {  // it has just gone
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  dropped = std::exchange(loaded_, std::move(current));
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
    return LoadedOf(number ? watched_.model(*number) : watched_.model());
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
  return loaded_;
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
      known->DropReplaced();
      continue;
    }
    HidePaths(source);
    auto started = std::make_shared<Served>(source, options_);
    const std::lock_guard<std::mutex> lock(mutex_);
    models_[source.name].swap(started);
    if (started != nullptr) leaving_.push_back(std::move(started));
  }
  std::vector<std::string> gone;
  for (const auto& served : all()) {
    const std::string& name = served->source().name;
    const bool listed = std::any_of(sources.begin(), sources.end(),
                                    [&](const Source& source) { return source.name == name; });
    if (!listed) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    Log(Level::kInfo, "no longer serving " + name, {{"model", name}});
    const std::lock_guard<std::mutex> lock(mutex_);
    leaving_.push_back(std::move(models_.extract(name).mapped()));
  }
  // Here, and not in the thread of the last request: it may have to wait for a load.
  const auto unused = [](const std::shared_ptr<Served>& one) { return one.use_count() == 1; };
  leaving_.erase(std::remove_if(leaving_.begin(), leaving_.end(), unused), leaving_.end());
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
    savedmodel::ModelMetrics& whole = metrics.emplace_back();  // also of one without a version
    whole.model = served->source().name;
    whole.watched = served->status();
    for (const auto& loaded : served->loaded()) {
      savedmodel::ModelMetrics& one = metrics.emplace_back();
      one.model = served->source().name;
      loaded->AddMetrics(&one);
    }
  }
  return savedmodel::PrometheusText(metrics);
}

}  // namespace server
