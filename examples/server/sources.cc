// SPDX-License-Identifier: Apache-2.0
// Where the models are: a directory of them, or TensorFlow Serving's configuration file.
#include <absl/strings/numbers.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "errors.h"
#include "models.h"
#include "serving.pb.h"

namespace server {
namespace fs = std::filesystem;
namespace pb = google::protobuf;

namespace {

class FirstError : public pb::io::ErrorCollector {
 public:
  void AddError(int line, pb::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// False for what is no folder, or gone. Throws for a folder that can't be read now: its model goes on.
bool HasVersions(const fs::path& model) {
  std::error_code failed;
  const auto entries = fs::directory_iterator(model, failed);
  for (const std::errc none : {std::errc::no_such_file_or_directory, std::errc::not_a_directory,
                               std::errc::too_many_symbolic_link_levels}) {
    if (failed == none) return false;
  }
  if (failed) throw fs::filesystem_error("cannot look for versions", model, failed);
  return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
    std::int64_t number = 0;
    return absl::SimpleAtoi(entry.path().filename().string(), &number);
  });
}

Source FromConfig(const tensorflow::serving::ModelConfig& config, const std::string& file) {
  Source source;
  source.name = config.name();
  source.path = config.base_path();
  if (source.name.empty()) Refuse(file, ": a model has no name");
  if (source.path.empty()) Refuse(file, ": the model '", source.name, "' has no base_path");
  if (!config.model_platform().empty() && config.model_platform() != "tensorflow")
    Refuse(file, ": the model '", source.name, "' is of the platform '", config.model_platform(),
           "', not 'tensorflow'");
  const auto& policy = config.model_version_policy();
  if (policy.has_all()) source.versions = 0;
  if (policy.has_latest()) source.versions = std::max(1, static_cast<int>(policy.latest().num_versions()));
  source.only.insert(policy.specific().versions().begin(), policy.specific().versions().end());
  source.labels.insert(config.version_labels().begin(), config.version_labels().end());
  return source;
}

}  // namespace

std::vector<Source> ReadDirectory(const std::string& directory, int versions) {
  std::vector<Source> sources;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!HasVersions(entry.path())) continue;
    Source& source = sources.emplace_back();
    source.name = entry.path().filename();
    source.path = entry.path();
    source.versions = versions;
  }
  return sources;
}

std::vector<Source> ParseConfig(const std::string& text, const std::string& file) {
  tensorflow::serving::ModelServerConfig config;
  FirstError error;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowUnknownField(true);  // what TensorFlow Serving knows beside these, such as logging_config
  if (!parser.ParseFromString(text, &config)) Refuse(file, ": ", error.text());
  if (!config.has_model_config_list()) Refuse(file, ": it has no model_config_list");
  std::vector<Source> sources;
  for (const auto& one : config.model_config_list().config()) {
    sources.push_back(FromConfig(one, file));
    for (std::size_t i = 0; i + 1 < sources.size(); ++i) {
      if (sources[i].name == one.name()) Refuse(file, ": the model '", one.name(), "' is there twice");
    }
  }
  return sources;
}

}  // namespace server
