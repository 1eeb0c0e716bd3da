// SPDX-License-Identifier: Apache-2.0
// Edits a SavedModel's signatures, MetaGraphs, devices and files, without running it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "savedmodel/constants.h"
#include "savedmodel/export.h"
#include "savedmodel/signature.h"

namespace savedmodel {

namespace internal {
class EngineEdit;
}

// Maps a signature's keys to dense tensors of the graph, such as "dense/BiasAdd:0" (":0" may be omitted). A
// tensor inside a function is named by the nodes that call it: "StatefulPartitionedCall/dense/BiasAdd:0".
// These calls are then inlined. DType and shape are the graph's.
using TensorNames = std::map<std::string, std::string>;
using TagSet = std::set<std::string>;

// These edit the selected MetaGraph; initially {serve}, or the only one.
struct AddSignature {
  std::string name;
  TensorNames inputs;
  TensorNames outputs;
  std::string method_name = kPredictMethodName;
};
// Makes a signature of a trace of a saved object's function (Model::functions). Keys are those of its
// tensors.
struct AddFunctionSignature {
  std::string name;
  std::string function;  // a path, "encoder.call"
  std::size_t trace = 0;
  std::string method_name = "tensorflow/serving/predict";
};
struct RenameSignature {
  std::string name;
  std::string to;
};
struct RemoveSignature {
  std::string name;
};
struct AddOutputs {
  std::string signature;
  TensorNames outputs;
};
struct KeepOutputs {
  std::string signature;
  std::vector<std::string> keys;
};
struct SetMethodName {
  std::string signature;
  std::string method_name;
};

struct SelectMetaGraph {
  TagSet tags;
};
struct CopyMetaGraph {  // both use the same variables and assets
  TagSet tags;
  TagSet to;
};
struct DropMetaGraph {
  TagSet tags;
};
struct SetTags {
  TagSet tags;
  TagSet to;
};

// These edit all MetaGraphs. ClearDevices covers nodes, also in functions, and variables.
struct ClearDevices {};
// tf.saved_model.load then finds only signatures and no other attributes, as in a TensorFlow 1 model.
struct DropObjectGraph {};
// Removes what no signature needs: nodes, functions, variables, assets, the object graph.
struct Prune {};

using EditOperation = std::variant<AddSignature, AddFunctionSignature, RenameSignature, RemoveSignature,
                                   AddOutputs, KeepOutputs, SetMethodName, SelectMetaGraph, CopyMetaGraph,
                                   DropMetaGraph, SetTags, ClearDevices, DropObjectGraph, Prune>;

enum class GraphFormat { kAsSource, kBinary, kText };  // saved_model.pb, saved_model.pbtxt

struct EditOptions {
  bool overwrite = false;  // replaces an existing SavedModel or empty directory
  GraphFormat format = GraphFormat::kAsSource;
};

// A SavedModel in memory, except its variables and assets. Thread-safe.
class SAVEDMODEL_API Edit {
 public:
  // Throws Error as Inspect does.
  explicit Edit(const std::string& source);
  ~Edit();
  Edit(Edit&&) noexcept;  // the moved-from Edit throws Error (kFailedPrecondition)
  Edit& operator=(Edit&&) noexcept;
  bool valid() const noexcept { return engine_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Throws UsageError (an unknown name; lists similar names) or Error, and then changes nothing.
  void Apply(const EditOperation& operation);

  // The current signatures of the selected MetaGraph.
  std::map<std::string, Signature> signatures() const;

  // Writes the edited SavedModel atomically, by renaming a temporary sibling of `target`. Optimized graphs
  // are not copied; warm-up requests are copied only if all of the source's signatures remain. The
  // fingerprint is computed anew. Returns notes for the user, as sentences. Throws Error (kAlreadyExists,
  // kInvalidArgument if one directory is inside the other), also for missing or truncated files of the
  // source.
  std::vector<std::string> Save(const std::string& target, const EditOptions& options = {});

 private:
  internal::EngineEdit& engine() const;
  std::unique_ptr<internal::EngineEdit> engine_;
};

}  // namespace savedmodel
