// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/write.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "engine/base/names.h"
#include "engine/base/status.h"
#include "engine/edit/meta_graphs.h"
#include "engine/edit/variables_files.h"
#include "engine/files/copy.h"
#include "engine/files/files.h"
#include "engine/files/fingerprint.h"
#include "savedmodel/warmup.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/lib/strings/proto_serialization.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

constexpr char kVariables[] = "variables/";

bool Exists(const std::string& path) { return tf::Env::Default()->FileExists(path).ok(); }

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

// Resolves symbolic links, and adds a slash at the end.
std::string Canonical(const std::string& path) {
  std::error_code error;
  const std::string canonical = std::filesystem::weakly_canonical(path, error).string();
  const std::string clean = tf::io::CleanPath(error ? path : canonical);
  return clean.back() == '/' ? clean : clean + "/";
}

bool IsText(const std::string& path) {
  return !Exists(tf::io::JoinPath(path, tf::kSavedModelFilenamePb)) &&
         !Exists(tf::io::JoinPath(path, tf::kSavedModelFilenameCpb));
}

void WriteProto(const std::string& folder, const tf::SavedModel& proto, bool text) {
  tf::Env* env = tf::Env::Default();
  if (text) {
    const std::string path = tf::io::JoinPath(folder, tf::kSavedModelFilenamePbTxt);
    ThrowIfError(tf::WriteTextProto(env, path, proto), Quote(path));
    return;
  }
  std::string bytes;
  if (!tf::SerializeToStringDeterministic(proto, &bytes)) {
    throw Error(Code::kInvalidArgument, "the graph is larger than 2 GB, which saved_model.pb can't hold");
  }
  const std::string path = tf::io::JoinPath(folder, tf::kSavedModelFilenamePb);
  ThrowIfError(tf::WriteStringToFile(env, path, bytes), Quote(path));
}

void CheckApart(const std::string& source, const std::string& target) {
  if (target.empty()) return;
  const std::string from = Canonical(source);
  const std::string to = Canonical(target);
  if (from == to) {
    throw Error(Code::kInvalidArgument,
                Quote(target) + " is the SavedModel that is edited; write to another directory");
  }
  if (StartsWith(to, from) || StartsWith(from, to)) {
    throw Error(Code::kInvalidArgument, Quote(target) + (StartsWith(to, from) ? " is inside " : " holds ") +
                                            Quote(source) + ", the SavedModel that is edited");
  }
}

std::set<std::string> UnusedAssets(const State& state) {
  std::set<std::string> unused = state.assets;
  for (const tf::MetaGraphDef& meta_graph : state.model.meta_graphs()) {
    for (const tf::AssetFileDef& asset : AssetFiles(meta_graph)) unused.erase("assets/" + asset.filename());
  }
  return unused;
}

bool AnswersAs(const tf::SignatureDef& before, const tf::SignatureDef& now) {
  const std::vector<std::string> asked = Keys(before.outputs());
  const std::vector<std::string> given = Keys(now.outputs());
  return Keys(before.inputs()) == Keys(now.inputs()) &&
         std::includes(given.begin(), given.end(), asked.begin(), asked.end());
}

// True if all signatures of the source remain: recorded requests may be for any of them.
bool AnswersAsSource(const State& state) {
  const tf::SavedModel source = ReadSavedModelProto(state.source);
  const auto& edited = state.model.meta_graphs();
  for (const tf::MetaGraphDef& before : source.meta_graphs()) {
    const auto now = std::find_if(edited.begin(), edited.end(), [&](const tf::MetaGraphDef& meta_graph) {
      return TagsOf(meta_graph) == TagsOf(before);
    });
    if (now == edited.end()) return false;
    for (const auto& [name, signature] : before.signature_def()) {
      if (name == tf::kSavedModelInitOpSignatureKey || name == tf::kSavedModelTrainOpSignatureKey) continue;
      const auto found = now->signature_def().find(name);
      if (found == now->signature_def().end() || !AnswersAs(signature, found->second)) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<std::string> Write(const State& state, const std::string& target, const EditOptions& options) {
  const std::string& source = state.source;
  CheckApart(source, target);
  for (const auto& meta_graph : state.model.meta_graphs()) CheckFiles(source, meta_graph);
  std::vector<std::string> notes = state.notes;
  const bool text =
      options.format == GraphFormat::kText || (options.format == GraphFormat::kAsSource && IsText(source));
  const std::set<std::string> unused = UnusedAssets(state);
  const bool warm_up = !Exists(tf::io::JoinPath(source, kWarmupFile)) || AnswersAsSource(state);
  if (!warm_up) {
    notes.push_back(std::string(kWarmupFile) +
                    " is left out: its requests may name a signature, input or output that was removed");
  }
  WriteWhole(target, options.overwrite, [&](const std::string& folder) {
    CopyFiles(source, folder, [&](const std::string& file) {
      if (StartsWith(file, "saved_model.") || file == kFingerprintFile) return false;
      if (file == kWarmupFile && !warm_up) return false;
      return unused.count(file) == 0 && !(state.pruned && StartsWith(file, kVariables));
    });
    if (state.pruned) {
      std::set<std::string> names;
      for (const auto& meta_graph : state.model.meta_graphs()) names.merge(RestoredTensors(meta_graph));
      CopyVariables(source, folder, names);
    }
    WriteProto(folder, state.model, text);
    if (!text) {
      WriteFingerprint(folder, &notes);
    } else if (Exists(tf::io::JoinPath(source, kFingerprintFile))) {
      notes.emplace_back("fingerprint.pb is left out: TensorFlow makes none for a SavedModel in text form");
    }
  });
  return notes;
}

}  // namespace savedmodel::engine::edit
