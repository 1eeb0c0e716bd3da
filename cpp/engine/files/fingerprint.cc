// SPDX-License-Identifier: Apache-2.0
#include "engine/files/fingerprint.h"

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "tensorflow/cc/saved_model/fingerprinting.h"
#include "tensorflow/core/lib/strings/proto_serialization.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/protobuf/fingerprint.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;

// No fingerprint is better than one that does not match.
void WriteFingerprint(const std::string& folder, std::vector<std::string>* notes) {
  const auto fingerprint = tf::saved_model::fingerprinting::CreateFingerprintDef(folder);
  if (!fingerprint.ok()) {
    notes->push_back("fingerprint.pb is left out: " + std::string(fingerprint.status().message()));
    return;
  }
  std::string bytes;
  tf::SerializeToStringDeterministic(*fingerprint, &bytes);
  const std::string path = tf::io::JoinPath(folder, kFingerprintFile);
  ThrowIfError(tf::WriteStringToFile(tf::Env::Default(), path, bytes), Quote(path));
}

}  // namespace savedmodel::engine
