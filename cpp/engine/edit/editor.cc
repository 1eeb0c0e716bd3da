// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/editor.h"

#include <mutex>
#include <utility>

#include "engine/base/logging.h"
#include "engine/edit/function_signature.h"
#include "engine/edit/meta_graphs.h"
#include "engine/edit/prune.h"
#include "engine/edit/signatures.h"
#include "engine/edit/state.h"
#include "engine/edit/write.h"
#include "engine/files/files.h"
#include "engine/files/graph_checks.h"
#include "engine/graph/signatures.h"
#include "engine/objects/mend.h"

namespace savedmodel::engine::edit {
namespace {

class Editor : public internal::EngineEdit {
 public:
  explicit Editor(const std::string& path) {
    state_.source = path;
    state_.model = ReadSavedModelProto(path);
    for (auto& meta_graph : *state_.model.mutable_meta_graphs()) {
      CheckGraph(path, meta_graph);
      const int mended = MendVariables(path, &meta_graph);
      if (mended > 0) {
        state_.notes.push_back(
            "renamed " + std::to_string(mended) +
            " variables to the names that signatures read: other runtimes can now run the model");
      }
      state_.captures.emplace(TagsOf(meta_graph), ReadCaptures(path, meta_graph));
      for (const auto& asset : AssetFiles(meta_graph)) state_.assets.insert("assets/" + asset.filename());
    }
    state_.selected = DefaultTags(state_.model);
  }

  void Apply(const EditOperation& operation) override {
    const QuietInfo quiet;
    const std::lock_guard<std::mutex> lock(mutex_);
    State changed = state_;
    std::visit([&](const auto& one) { edit::Apply(one, &changed); }, operation);
    state_ = std::move(changed);
  }

  std::map<std::string, Signature> signatures() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ReadSignatures(*state_.Selected());
  }

  std::vector<std::string> Save(const std::string& target, const EditOptions& options) override {
    const QuietInfo quiet;
    const std::lock_guard<std::mutex> lock(mutex_);
    return Write(state_, target, options);
  }

 private:
  std::mutex mutex_;
  State state_;
};

}  // namespace

std::unique_ptr<internal::EngineEdit> Open(const std::string& path) { return std::make_unique<Editor>(path); }

}  // namespace savedmodel::engine::edit
