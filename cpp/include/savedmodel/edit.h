// SPDX-License-Identifier: Apache-2.0
// Changes to what a SavedModel offers: its signatures, MetaGraphs, devices, files. Nothing of it is run.
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

// A signature's keys -> dense tensors of the graph, such as "dense/BiasAdd:0" (":0" may be left out). One in
// the body of a function is named by the nodes that call it: "StatefulPartitionedCall/dense/BiasAdd:0"; those
// calls are then inlined. DType and shape are the graph's.
using TensorNames = std::map<std::string, std::string>;
using TagSet = std::set<std::string>;

// Of the MetaGraph that is selected; at first {serve}, or the only one.
struct AddSignature {
  std::string name;
  TensorNames inputs;
  TensorNames outputs;
  std::string method_name = kPredictMethodName;
};
// Of a trace of a function that the saved object has (Model::functions). Keys are those of its tensors.
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

// Of all MetaGraphs. ClearDevices: on nodes, in functions too, and on variables.
struct ClearDevices {};
// tf.saved_model.load then finds what it finds in a TensorFlow 1 model: signatures, and no other attributes.
struct DropObjectGraph {};
// Removes what no signature needs: nodes, functions, variables, assets, the object graph.
struct Prune {};

using EditOperation = std::variant<AddSignature, AddFunctionSignature, RenameSignature, RemoveSignature,
                                   AddOutputs, KeepOutputs, SetMethodName, SelectMetaGraph, CopyMetaGraph,
                                   DropMetaGraph, SetTags, ClearDevices, DropObjectGraph, Prune>;

enum class GraphFormat { kAsSource, kBinary, kText };  // saved_model.pb, saved_model.pbtxt

struct EditOptions {
  bool overwrite = false;  // a SavedModel, or an empty directory, that is there already
  GraphFormat format = GraphFormat::kAsSource;
};

// A SavedModel in memory, but for its variables and assets. Thread-safe.
class SAVEDMODEL_API Edit {
 public:
  // Throws Error as Inspect does.
  explicit Edit(const std::string& source);
  ~Edit();
  Edit(Edit&&) noexcept;  // leaves one that throws Error (kFailedPrecondition)
  Edit& operator=(Edit&&) noexcept;
  bool valid() const noexcept { return engine_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }

  // Throws UsageError (names that don't exist: lists near ones) or Error; then nothing has changed.
  void Apply(const EditOperation& operation);

  // Of the selected MetaGraph, as they are now.
  std::map<std::string, Signature> signatures() const;

  // Writes the edited SavedModel: a temporary sibling of `target` is renamed, so it is there whole or not at
  // all. Optimized graphs are left out, and recorded warm-up requests where the source's signatures are not
  // all there; fingerprint.pb is made anew. Returns what a user should know, in sentences. Throws Error
  // (kAlreadyExists, kInvalidArgument if one is inside the other), also for files of the source that are
  // missing or too short.
  std::vector<std::string> Save(const std::string& target, const EditOptions& options = {});

 private:
  internal::EngineEdit& engine() const;
  std::unique_ptr<internal::EngineEdit> engine_;
};

}  // namespace savedmodel
