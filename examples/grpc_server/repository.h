// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <savedmodel/savedmodel.h>

#include <cstdint>
#include <map>
#include <string>

// The models of a directory in TensorFlow Serving's layout: NAME/VERSION/saved_model.pb.
class Repository {
 public:
  struct Version {
    savedmodel::Model model;
    std::string error;  // why it could not be loaded; else empty
  };
  using Versions = std::map<std::int64_t, Version>;  // by number

  // What cannot be loaded is reported on stderr, and its error kept.
  void Load(const std::string& directory, const savedmodel::LoadOptions& options);

  // These throw Error (kNotFound).
  const Versions& Find(const std::string& model) const;
  // An empty `version` is the highest that was loaded.
  static const Versions::value_type& Choose(const Versions& versions, const std::string& version);

 private:
  std::map<std::string, Versions> models_;
};
