// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/op_libraries.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/graph/attributes.h"
#include "engine/graph/graph.h"
#include "savedmodel/runtime.h"
#include "tensorflow/core/framework/kernel_def.pb.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

constexpr std::size_t kMaxNamed = 5;

constexpr char kCustom[] =
    "are custom ops: load the shared library that registers them, with "
    "op_libraries=[\"/path/to/it.so\"] (--op-library); the author of the model has it";

struct Package {
  const char* prefix;  // of op names; those that end in '$' are whole names
  const char* distribution;
  const char* module;
};

// The first that fits. Ops without a prefix of the package's own are from TensorFlow Text 2.21 and
// tf_sentencepiece 0.1.
constexpr Package kPackages[] = {
    {"TFText>", "tensorflow-text", "tensorflow_text"},
    {"CaseFoldUTF8$", "tensorflow-text", "tensorflow_text"},
    {"ConstrainedSequence$", "tensorflow-text", "tensorflow_text"},
    {"FastBertNormalize$", "tensorflow-text", "tensorflow_text"},
    {"FastWordpiece", "tensorflow-text", "tensorflow_text"},
    {"FindSourceOffsets$", "tensorflow-text", "tensorflow_text"},
    {"MaxSpanningTree$", "tensorflow-text", "tensorflow_text"},
    {"NormalizeUTF8", "tensorflow-text", "tensorflow_text"},
    {"PhraseTokenize", "tensorflow-text", "tensorflow_text"},
    {"RegexSplitWithOffsets$", "tensorflow-text", "tensorflow_text"},
    {"RougeL$", "tensorflow-text", "tensorflow_text"},
    {"SentenceFragments", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceDetokenizeOp$", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceIdToStringOp$", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceOp$", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceStringToIdOp$", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceTokenize", "tensorflow-text", "tensorflow_text"},
    {"SentencepieceVocabSizeOp$", "tensorflow-text", "tensorflow_text"},
    {"SplitMergeTokenize", "tensorflow-text", "tensorflow_text"},
    {"TokenizerFromLogits$", "tensorflow-text", "tensorflow_text"},
    {"UnicodeScriptTokenize", "tensorflow-text", "tensorflow_text"},
    {"WhitespaceTokenize", "tensorflow-text", "tensorflow_text"},
    {"WordpieceTokenize", "tensorflow-text", "tensorflow_text"},
    {"Sentencepiece", "tf-sentencepiece", "tf_sentencepiece"},
    {"IO>", "tensorflow-io", "tensorflow_io"},
    {"SimpleML", "tensorflow-decision-forests", "tensorflow_decision_forests"},
    {"Addons>", "tensorflow-addons", "tensorflow_addons"},
    {"TFRA>", "tensorflow-recommenders-addons", "tensorflow_recommenders_addons"},
    {"Tfq", "tensorflow-quantum", "tensorflow_quantum"},
    {"Horovod", "horovod", "horovod"},
};

const Package* PackageOf(const std::string& op) {
  const auto* found = std::find_if(std::begin(kPackages), std::end(kPackages), [&](const Package& package) {
    const std::string prefix = package.prefix;
    if (prefix.back() == '$') return op + "$" == prefix;
    return op.rfind(prefix, 0) == 0;
  });
  return found == std::end(kPackages) ? nullptr : found;
}

bool IsPythonFunction(const std::string& op) {
  return op == "PyFunc" || op == "PyFuncStateless" || op == "EagerPyFunc";
}

bool IsMissing(const std::string& op) {
  const tf::OpDef* known = FindOp(op);
  if (known == nullptr) return true;
  // TensorFlow's Python brings the kernels.
  return IsPythonFunction(op) && tf::GetRegisteredKernelsForOp(op).kernel_size() == 0;
}

std::string List(const std::vector<std::string>& ops) {
  std::string text;
  for (std::size_t i = 0; i < ops.size() && i < kMaxNamed; ++i) text += (i > 0 ? ", " : "") + Quote(ops[i]);
  return text + (ops.size() > kMaxNamed ? ", ..." : "");
}

std::string Remedy(const Package& package) {
  std::string distribution = package.distribution;
  if (distribution == "tensorflow-text") {  // its versions are TensorFlow's
    distribution += std::string("==") + RequiredTensorFlowVersion() + ".*";
  }
  const std::string module = package.module;
  return "come with the package " + std::string(package.distribution) + ": pip install '" + distribution +
         "', and load with op_libraries=\"" + module + "\" (in C++, its .so files; in the command line, " +
         "--op-library " + module + ")";
}

}  // namespace

void OpenOpLibraries(const std::vector<std::string>& libraries) {
  for (const std::string& library : libraries) {
    // Registering one a second time is an error of TensorFlow's registry only for another file.
    void* handle = nullptr;
    ThrowIfError(tf::Env::Default()->LoadDynamicLibrary(library.c_str(), &handle),
                 "op library '" + library + "'");
    ThrowIfError(tf::OpRegistry::Global()->ProcessRegistrations(), "op library '" + library + "'");
  }
}

void OpenOpLibrariesOfEnvironment() {
  const char* names = std::getenv("SAVEDMODEL_OP_LIBRARIES");
  if (names == nullptr) return;
  std::vector<std::string> libraries;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ':');) {
    if (!name.empty()) libraries.push_back(name);
  }
  OpenOpLibraries(libraries);
}

std::set<std::string> MissingOps::Of(const tf::NodeDef& node) {
  if (functions_.Find(node.op()) != nullptr) return OfFunction(node.op());
  std::set<std::string> missing;
  if (IsMissing(node.op())) missing.insert(node.op());
  for (const std::string& name : CalledFunctions(node)) {
    const std::set<std::string>& inside = OfFunction(name);
    missing.insert(inside.begin(), inside.end());
  }
  return missing;
}

const std::set<std::string>& MissingOps::OfFunction(const std::string& name) {
  const auto [entry, fresh] = known_.emplace(name, std::set<std::string>());
  const tf::FunctionDef* function = functions_.Find(name);
  if (!fresh || function == nullptr) return entry->second;
  for (const tf::NodeDef& node : function->node_def()) {
    const std::set<std::string> inside = Of(node);
    entry->second.insert(inside.begin(), inside.end());
  }
  return entry->second;
}

void RefuseMissingOps(const std::string& what, const std::set<std::string>& ops) {
  if (ops.empty()) return;
  std::map<std::string, std::vector<std::string>> groups;  // by what is said of them
  std::vector<std::string> python;
  for (const std::string& op : ops) {
    if (IsPythonFunction(op)) {
      python.push_back(op);
    } else {
      const Package* package = PackageOf(op);
      groups[package != nullptr ? Remedy(*package) : kCustom].push_back(op);
    }
  }
  if (groups.empty()) {
    throw Error(
        Code::kUnimplemented,
        what + " calls Python functions (" + List(python) +
            ": tf.py_function, tf.numpy_function), which a SavedModel does not hold: only the program "
            "that saved it can run it");
  }
  std::string text = what + " needs ops that TensorFlow does not have. ";
  for (const auto& [said, names] : groups) text += List(names) + " " + said + ". ";
  throw Error(Code::kNotFound, text.substr(0, text.size() - 2));
}

void CheckGraphOps(const std::string& path, const tf::GraphDef& graph) {
  std::set<std::string> functions;
  for (const tf::FunctionDef& function : graph.library().function()) {
    functions.insert(function.signature().name());
  }
  std::set<std::string> ops;
  for (const tf::NodeDef& node : graph.node()) {
    if (functions.count(node.op()) == 0 && IsMissing(node.op())) ops.insert(node.op());
  }
  RefuseMissingOps(Quote(path), ops);
}

}  // namespace savedmodel::engine
