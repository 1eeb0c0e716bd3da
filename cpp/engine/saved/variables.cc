// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/variables.h"

#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/files/copy.h"
#include "engine/files/fingerprint.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr char kCheckpointState[] = "checkpoint";  // tf.train.latest_checkpoint reads it

void RunSaver(tf::Session& session, const tf::SaverDef& saver, tf::RunOptions options,
              const std::string& prefix) {
  if (saver.save_tensor_name().empty() || saver.filename_tensor_name().empty()) {
    throw Error(Code::kFailedPrecondition, "the model has no saver: it has no variables, or was pruned");
  }
  tf::Tensor name(tf::DT_STRING, tf::TensorShape({}));
  name.scalar<tf::tstring>()() = prefix;
  options.clear_timeout_in_ms();
  std::vector<tf::Tensor> fetched;
  tf::RunMetadata metadata;
  ThrowIfError(session.Run(options, {{saver.filename_tensor_name(), name}}, {saver.save_tensor_name()}, {},
                           &fetched, &metadata),
               "saving variables to " + Quote(prefix));
}

void SaveCheckpoint(tf::Session& session, const tf::SaverDef& saver, const tf::RunOptions& options,
                    const std::string& target) {
  WriteWhole(target, /*replace=*/false, [&](const std::string& folder) {
    RunSaver(session, saver, options, tf::io::JoinPath(folder, tf::kSavedModelVariablesFilename));
    const std::string line = "\"" + std::string(tf::kSavedModelVariablesFilename) + "\"\n";
    const std::string state = "model_checkpoint_path: " + line + "all_model_checkpoint_paths: " + line;
    const std::string path = tf::io::JoinPath(folder, kCheckpointState);
    ThrowIfError(tf::WriteStringToFile(tf::Env::Default(), path, state), Quote(path));
  });
}

void SaveWithVariables(tf::Session& session, const tf::SaverDef& saver, const tf::RunOptions& options,
                       const std::string& source, const std::string& target) {
  WriteWhole(target, /*replace=*/false, [&](const std::string& folder) {
    const std::string variables = std::string(tf::kSavedModelVariablesDirectory) + "/";
    CopyFiles(source, folder, [&](const std::string& file) {
      return file.rfind(variables, 0) != 0 && file != kFingerprintFile;
    });
    const std::string directory = tf::io::JoinPath(folder, tf::kSavedModelVariablesDirectory);
    ThrowIfError(tf::Env::Default()->RecursivelyCreateDir(directory), Quote(directory));
    RunSaver(session, saver, options, tf::io::JoinPath(directory, tf::kSavedModelVariablesFilename));
    std::vector<std::string> notes;
    WriteFingerprint(folder, &notes);
  });
}

}  // namespace

void WriteVariables(tf::Session& session, const tf::SaverDef& saver, const tf::RunOptions& options,
                    const std::string& source, const std::string& target) {
  if (source.empty()) return SaveCheckpoint(session, saver, options, target);
  SaveWithVariables(session, saver, options, source, target);
}

}  // namespace savedmodel::engine
