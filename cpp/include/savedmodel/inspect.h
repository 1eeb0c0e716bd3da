// SPDX-License-Identifier: Apache-2.0
// Describes a SavedModel without making a session or reading weights.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "savedmodel/export.h"
#include "savedmodel/signature.h"

namespace savedmodel {

struct AssetInfo {
  std::string filename;          // below assets/
  std::string tensor_name;       // fed with the file's path
  std::int64_t size_bytes = -1;  // -1: the file is missing
};

// The number of uses of an op in a graph and its functions.
struct OpUse {
  std::int64_t count = 0;
  // Of these, uses that only serve the loader: the saver's own ops, and tables made from the model's assets.
  std::int64_t loader_count = 0;
  std::vector<std::string> nodes;  // the first of the other uses: "node", or "function/node"
};

// A traced tf.function that is an attribute of the saved object.
struct ConcreteFunctionInfo {
  std::string attribute;  // "__call__"
  std::string name;       // in the graph's function library
  std::string inputs;     // "(x: float32 [?, 4], training=False)"
  std::string outputs;
};

struct MetaGraphInfo {
  std::set<std::string> tags;
  std::map<std::string, Signature> signatures;           // without the init-op signature
  std::string init_op;                                   // run by a load; may be empty
  std::set<std::string> ops;                             // used by the graph and by its functions
  std::map<std::string, OpUse> op_uses;                  // by op
  std::vector<ConcreteFunctionInfo> concrete_functions;  // sorted; of TF2 models
  std::map<std::string, TensorSpec> variables;           // by the graph's variable name
  std::string tensorflow_version;                        // of the writer; may be empty
  int producer = 0;                                      // GraphDef version of the writer
  int min_consumer = 0;
  std::vector<AssetInfo> assets;
  std::int64_t num_nodes = 0;
  std::int64_t num_functions = 0;
};

// fingerprint.pb (TensorFlow 2.12 and later write it).
struct Fingerprint {
  std::uint64_t saved_model_checksum = 0;
  std::uint64_t graph_def_program_hash = 0;
  std::uint64_t signature_def_hash = 0;
  std::uint64_t saved_object_graph_hash = 0;
  std::uint64_t checkpoint_hash = 0;
  std::string uuid;
};

struct Inspection {
  std::string path;
  std::vector<MetaGraphInfo> meta_graphs;
  std::optional<Fingerprint> fingerprint;
  std::map<std::string, std::int64_t> files;  // relative path -> bytes
  std::int64_t size_bytes = 0;                // of all files
};

// Throws Error (kNotFound, kDataLoss, ...) if `path` does not hold a readable SavedModel.
[[nodiscard]] SAVEDMODEL_API Inspection Inspect(const std::string& path);

// The names of all ops registered with TensorFlow, sorted; includes op libraries once they are open.
SAVEDMODEL_API std::vector<std::string> RegisteredOps();

}  // namespace savedmodel
