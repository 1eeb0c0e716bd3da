// SPDX-License-Identifier: Apache-2.0
// The fingerprint that TensorFlow puts beside a SavedModel.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::engine {

inline constexpr char kFingerprintFile[] = "fingerprint.pb";
// TensorFlow's own, of the files in `folder` as they are; where there can be none, `notes` say why.
void WriteFingerprint(const std::string& folder, std::vector<std::string>* notes);

}  // namespace savedmodel::engine
