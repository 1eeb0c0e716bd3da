// SPDX-License-Identifier: Apache-2.0
// Writes the fingerprint that TensorFlow adds to a SavedModel.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::engine {

inline constexpr char kFingerprintFile[] = "fingerprint.pb";
// Writes TensorFlow's fingerprint of the files in `folder`. If it can't have one, `notes` say why.
void WriteFingerprint(const std::string& folder, std::vector<std::string>* notes);

}  // namespace savedmodel::engine
