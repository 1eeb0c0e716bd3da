// SPDX-License-Identifier: Apache-2.0
// Functions of a TF2 model's saved object, which a program can call after tf.saved_model.load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "savedmodel/export.h"
#include "savedmodel/signature.h"
#include "savedmodel/span.h"
#include "savedmodel/tensor.h"

namespace savedmodel {

// A Python value among the arguments or results of a function.
struct SAVEDMODEL_API Structure {
  enum class Kind {
    kTensor,  // `number` is its index in ConcreteFunction::inputs or outputs
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kTuple,
    kDict,        // sorted by key
    kNamedTuple,  // `text` is its type
    kDType,       // `text` is its name, as DTypeName's
    kOther,       // `text` describes it
  };
  Kind kind = Kind::kNone;
  std::string text;
  std::int64_t number = 0;  // also of kBool and kInt
  double real = 0;
  std::vector<std::string> keys;  // of a kDict or kNamedTuple, one per item
  std::vector<Structure> items;
};

// A function traced for arguments of certain types, shapes and values.
struct SAVEDMODEL_API ConcreteFunction {
  std::string name;     // in the graph's function library
  Structure arguments;  // (positional arguments, {arguments by name}); values other than tensors must be
                        // equal
  Structure results;
  std::vector<TensorSpec> inputs;  // the tensors among the arguments, in order: "x", "images_left"
  std::vector<TensorSpec> outputs;
};

// An argument other than a tensor: None, a bool, an int, a float, a str, a dtype.
using Constant = std::variant<std::monostate, bool, std::int64_t, double, std::string, DType>;

struct SAVEDMODEL_API SavedFunction {
  std::string path;      // attribute path: "__call__", "encoder.call"
  Structure parameters;  // Python's inspect.FullArgSpec, a named tuple; kNone if the file has none
  std::vector<ConcreteFunction> traces;  // in the order in which TensorFlow tries them

  // Finds the first trace that takes exactly these tensors by dtype and shape, in the order of its inputs
  // (each component of a composite is one tensor). `constants`: arguments other than tensors, by name;
  // omitted ones have the function's defaults. Throws UsageError, which lists the traces.
  std::size_t FindTrace(Span<const Tensor> tensors,
                        const std::map<std::string, Constant>& constants = {}) const;
  // "function 'twice', trace 1"; "function 'once'" if it has only one trace.
  std::string Label(std::size_t trace) const;
  // The parameters of a trace in Python's notation: "(x: float32 [?, 4], training=True)". Throws UsageError.
  std::string Describe(std::size_t trace) const;
  // Throws UsageError if there is no such trace.
  void CheckTrace(std::size_t trace) const;
};

}  // namespace savedmodel
