// SPDX-License-Identifier: Apache-2.0
#include "repository.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

using savedmodel::Code;
using savedmodel::Error;

namespace {

// -1 if `name` is no number.
std::int64_t VersionNumber(const std::string& name) {
  const bool digits = name.find_first_not_of("0123456789") == std::string::npos;
  return digits && !name.empty() && name.size() < 19 ? std::stoll(name) : -1;
}

void LoadVersion(const std::string& path, const savedmodel::LoadOptions& options,
                 Repository::Version* version) try {
  version->model = savedmodel::Model::Load(path, options);
  const std::string& signature = version->model.default_signature();
  if (!signature.empty()) version->model.function(signature);  // optimized before the first request
  std::cerr << "loaded " << path << std::endl;
} catch (const std::exception& error) {
  version->error = error.what();
  std::cerr << "cannot serve " << path << ": " << error.what() << std::endl;
}

}  // namespace

void Repository::Load(const std::string& directory, const savedmodel::LoadOptions& options) {
  for (const auto& model : std::filesystem::directory_iterator(directory)) {
    if (!model.is_directory()) continue;
    for (const auto& version : std::filesystem::directory_iterator(model)) {
      const std::int64_t number = VersionNumber(version.path().filename());
      if (number < 0 || !version.is_directory()) continue;
      LoadVersion(version.path(), options, &models_[model.path().filename()][number]);
    }
  }
}

const Repository::Versions& Repository::Find(const std::string& model) const {
  const auto found = models_.find(model);
  if (found == models_.end()) throw Error(Code::kNotFound, "there is no model '" + model + "'");
  return found->second;
}

const Repository::Versions::value_type& Repository::Choose(const Versions& versions,
                                                           const std::string& version) {
  if (version.empty()) {
    const auto loaded = std::find_if(versions.rbegin(), versions.rend(),
                                     [](const auto& entry) { return entry.second.error.empty(); });
    return loaded == versions.rend() ? *versions.rbegin() : *loaded;
  }
  const auto found = versions.find(VersionNumber(version));
  if (found == versions.end()) throw Error(Code::kNotFound, "the model has no version '" + version + "'");
  return *found;
}
