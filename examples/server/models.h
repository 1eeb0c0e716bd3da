// SPDX-License-Identifier: Apache-2.0
// The models that are served: each is watched for new versions.
#pragma once

#include <savedmodel/savedmodel.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace server {

// Where a model is, and which of its versions are served.
struct Source {
  std::string name;
  std::string path;  // TensorFlow Serving's layout: PATH/VERSION/saved_model.pb
  int versions = 1;  // the highest so many; 0: all
  std::set<std::int64_t> only;
  std::map<std::string, std::int64_t> labels;

  bool SameVersions(const Source& other) const {
    return path == other.path && versions == other.versions && only == other.only;
  }
};

struct ModelOptions {
  savedmodel::LoadOptions load;
  savedmodel::Seconds poll = 1;
  bool batching = false;
  savedmodel::BatchOptions batch;
};

// Waking another thread takes about as long.
constexpr savedmodel::Seconds kQuick(30e-6);

// One signature of one version, ready to run.
struct Endpoint {
  std::string name;  // of the model
  std::int64_t version = 0;
  std::string signature, method;
  savedmodel::Model model;
  savedmodel::Function function;           // with all outputs
  savedmodel::Batcher batcher;             // empty: each request runs by itself
  mutable std::atomic<bool> quick{false};  // its runs took less than kQuick of late
};

// A version of a model.
class Loaded {
 public:
  Loaded(const std::string& name, savedmodel::Model model, const ModelOptions& options);
  const savedmodel::Model& model() const { return model_; }
  std::int64_t version() const { return version_; }
  // Empty: the default one. Throws Error (kInvalidArgument).
  const std::shared_ptr<const Endpoint>& Find(const std::string& signature) const;
  // Looks at how long runs took since the last look; from one thread.
  void LearnWhatIsQuick() const;
  void AddMetrics(savedmodel::ModelMetrics* metrics) const;

 private:
  struct FunctionSpeed {
    savedmodel::RunCounters until;  // the last look
    std::optional<bool> quick;      // none: too few runs
  };

  const savedmodel::Model model_;
  const std::int64_t version_;
  std::map<std::string, std::shared_ptr<const Endpoint>> endpoints_;
  mutable std::map<std::pair<std::string, std::vector<std::string>>, FunctionSpeed> speeds_;
};

// Which version a request is for; neither: the highest.
struct VersionChoice {
  std::optional<std::int64_t> number;
  std::string label;
};

class Served {
 public:
  Served(Source source, const ModelOptions& options);
  const Source& source() const { return source_; }
  void SetLabels(std::map<std::string, std::int64_t> labels);
  // Throws Error: kNotFound, kUnavailable.
  std::shared_ptr<const Loaded> Choose(const VersionChoice& choice) const;
  savedmodel::WatchStatus status() const { return watched_.status(); }
  std::vector<std::shared_ptr<const Loaded>> loaded() const;

  // Lets go of versions that are not used any more; done now and then.
  void DropReplaced();

 private:
  using List = std::vector<std::shared_ptr<const Loaded>>;
  static bool IsOf(const Loaded& loaded, const savedmodel::Model& model);
  std::shared_ptr<const Loaded> Find(const savedmodel::Model& model) const;  // with the mutex; or null
  std::shared_ptr<const Loaded> LoadedOf(const savedmodel::Model& model) const;

  Source source_;
  const ModelOptions options_;
  std::mutex drop_mutex_;
  mutable std::mutex mutex_;
  std::map<std::string, std::int64_t> labels_;  // guarded by the mutex
  List loaded_, warmed_;                        // guarded as well: in use; made ready, and perhaps to be used
  std::atomic<bool> watches_{false};
  savedmodel::Watched watched_;  // last: its thread uses the above
};

class Models {
 public:
  explicit Models(ModelOptions options) : options_(std::move(options)) {}
  // Loads models that are new, and lets go of those that are not among `sources`.
  void Serve(const std::vector<Source>& sources);
  // Throws Error (kNotFound).
  std::shared_ptr<const Served> Find(const std::string& name) const;
  std::vector<std::shared_ptr<const Served>> all() const;
  // Done now and then.
  void LearnWhatIsQuick() const;
  std::string Metrics() const;  // in Prometheus' text format

 private:
  const ModelOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Served>> models_;
  std::vector<std::shared_ptr<Served>> leaving_;  // that requests still have
};

// The models of a directory, one folder with versions each. Throws std::filesystem::filesystem_error.
std::vector<Source> ReadDirectory(const std::string& directory, int versions);
// The text of a file of TensorFlow Serving's --model_config_file, `file`. Throws Error that names the line.
std::vector<Source> ParseConfig(const std::string& text, const std::string& file);

}  // namespace server
