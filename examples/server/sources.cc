// SPDX-License-Identifier: Apache-2.0
// Where the models are: a directory of them, or TensorFlow Serving's configuration file.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

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
    if (std::error_code ignored; !entry.is_directory(ignored)) continue;
    Source& source = sources.emplace_back();
    source.name = entry.path().filename();
    source.path = entry.path();
    source.versions = versions;
    source.vanishes = true;
  }
  return sources;
}

std::vector<Source> ReadConfig(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw savedmodel::Error(savedmodel::Code::kNotFound, "cannot read " + file);
  tensorflow::serving::ModelServerConfig config;
  FirstError error;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowUnknownField(true);  // what TensorFlow Serving knows beside these, such as logging_config
  if (!parser.ParseFromString(text, &config)) Refuse(file, ": ", error.text());
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
