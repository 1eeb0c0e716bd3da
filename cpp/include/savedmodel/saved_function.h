// SPDX-License-Identifier: Apache-2.0
// Functions of the saved object of a TF2 model, which a program that loads it in TensorFlow's Python can
// call.
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

// A Python value among what a function takes or returns.
struct SAVEDMODEL_API Structure {
  enum class Kind {
    kTensor,  // `number` is its place in ConcreteFunction::inputs or outputs
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kTuple,
    kDict,        // sorted by key
    kNamedTuple,  // `text` is its type
    kOther,       // `text` says what
  };
  Kind kind = Kind::kNone;
  std::string text;
  std::int64_t number = 0;  // of kBool and kInt as well
  double real = 0;
  std::vector<std::string> keys;  // of a kDict or kNamedTuple, as many as items
  std::vector<Structure> items;
};

// A function as it was traced, for arguments of certain types, shapes and values.
struct SAVEDMODEL_API ConcreteFunction {
  std::string name;     // in the graph's function library
  Structure arguments;  // (positional arguments, {arguments by name}); what is no tensor has to be equal
  Structure results;
  std::vector<TensorSpec> inputs;  // the tensors among the arguments, in order: "x", "images_left"
  std::vector<TensorSpec> outputs;
};

// An argument that is no tensor: None, a bool, an int, a float, a str.
using Constant = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

struct SAVEDMODEL_API SavedFunction {
  std::string path;      // attributes that lead to it: "__call__", "encoder.call"
  Structure parameters;  // Python's inspect.FullArgSpec, a named tuple; kNone if the file has none
  std::vector<ConcreteFunction> traces;  // as TensorFlow tries them

  // The first trace that takes tensors of these dtypes and shapes, which are all that it takes, in the order
  // of its inputs (components of a composite one each for itself). `constants`: arguments that are no
  // tensors, by name; those that are left out have the function's defaults. Throws UsageError, which tells
  // the traces.
  std::size_t FindTrace(Span<const Tensor> tensors,
                        const std::map<std::string, Constant>& constants = {}) const;
  // "function 'twice', trace 1"; of one that has one trace, "function 'once'".
  std::string Label(std::size_t trace) const;
  // What a trace takes, as Python writes it: "(x: float32 [?, 4], training=True)". Throws UsageError.
  std::string Describe(std::size_t trace) const;
  // Throws UsageError if there is no such trace.
  void CheckTrace(std::size_t trace) const;
};

}  // namespace savedmodel
