// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/saved_function.h"

#include <algorithm>
#include <locale>
#include <optional>
#include <sstream>
#include <utility>

#include "core/model_state.h"
#include "core/with_errors.h"
#include "savedmodel/error.h"

namespace savedmodel {

using internal::WithErrors;

namespace {

using Kind = Structure::Kind;
using Constants = std::map<std::string, Constant>;

bool HasTensor(const Structure& value) {
  return value.kind == Kind::kTensor || std::any_of(value.items.begin(), value.items.end(), HasTensor);
}

const Structure* Field(const Structure& tuple, const std::string& name) {
  const auto found = std::find(tuple.keys.begin(), tuple.keys.end(), name);
  return found == tuple.keys.end() ? nullptr
                                   : &tuple.items[static_cast<std::size_t>(found - tuple.keys.begin())];
}

std::optional<double> Number(const Structure& value) {
  if (value.kind == Kind::kBool || value.kind == Kind::kInt) return static_cast<double>(value.number);
  if (value.kind == Kind::kFloat) return value.real;
  return std::nullopt;
}

Structure ToStructure(const Constant& constant) {
  Structure value;
  if (const auto* flag = std::get_if<bool>(&constant)) {
    value.kind = Kind::kBool;
    value.number = *flag ? 1 : 0;
  } else if (const auto* number = std::get_if<std::int64_t>(&constant)) {
    value.kind = Kind::kInt;
    value.number = *number;
  } else if (const auto* real = std::get_if<double>(&constant)) {
    value.kind = Kind::kFloat;
    value.real = *real;
  } else if (const auto* text = std::get_if<std::string>(&constant)) {
    value.kind = Kind::kString;
    value.text = *text;
  } else if (const auto* dtype = std::get_if<DType>(&constant)) {
    value.kind = Kind::kDType;
    value.text = DTypeName(*dtype);
  }
  return value;
}

// Compares like Python's ==: True equals 1 and 1.0.
bool Equal(const Structure& a, const Structure& b) {
  const std::optional<double> left = Number(a);
  const std::optional<double> right = Number(b);
  if (left && right)
    return a.kind == Kind::kFloat || b.kind == Kind::kFloat ? *left == *right : a.number == b.number;
  return a.kind == b.kind && a.kind != Kind::kOther && a.text == b.text && a.keys == b.keys &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), Equal);
}

// One argument of a trace.
struct Argument {
  std::string name;  // empty for *args
  const Structure* value;
  const Structure* standard;  // its default; may be null
};

std::vector<Argument> ArgumentsOf(const Structure& parameters, const ConcreteFunction& trace) {
  std::vector<Argument> arguments;
  const std::vector<Structure>& parts = trace.arguments.items;
  const bool as_written = parts.size() == 2 && parts[1].kind == Kind::kDict;
  if (!as_written) return {{"", &trace.arguments, nullptr}};
  const Structure* names = Field(parameters, "args");
  const Structure* defaults = Field(parameters, "defaults");
  const std::size_t named = names == nullptr ? 0 : names->items.size();
  const std::size_t optional = defaults == nullptr ? 0 : std::min(named, defaults->items.size());
  for (std::size_t i = 0; i < parts[0].items.size(); ++i) {
    const bool has_default = i < named && i >= named - optional;
    arguments.push_back({i < named ? names->items[i].text : "", &parts[0].items[i],
                         has_default ? &defaults->items[i - (named - optional)] : nullptr});
  }
  const Structure* by_name = Field(parameters, "kwonlydefaults");
  for (std::size_t i = 0; i < parts[1].items.size(); ++i) {
    const std::string& name = parts[1].keys[i];
    arguments.push_back({name, &parts[1].items[i], by_name == nullptr ? nullptr : Field(*by_name, name)});
  }
  return arguments;
}

bool TakesConstants(const std::vector<Argument>& arguments, const Constants& given) {
  std::size_t used = 0;
  for (const Argument& argument : arguments) {
    const auto found = argument.name.empty() ? given.end() : given.find(argument.name);
    if (found != given.end()) {
      if (!Equal(*argument.value, ToStructure(found->second))) return false;
      ++used;
    } else if (!HasTensor(*argument.value)) {
      if (argument.standard == nullptr || !Equal(*argument.value, *argument.standard)) return false;
    }
  }
  return used == given.size();
}

bool TakesTensors(const ConcreteFunction& trace, Span<const Tensor> given) {
  const std::vector<TensorSpec> specs = Flatten(trace.inputs);
  return std::equal(specs.begin(), specs.end(), given.begin(), given.end(),
                    [](const TensorSpec& spec, const Tensor& tensor) {
                      return spec.dtype == tensor.dtype() && internal::Fits(spec.shape, tensor.shape());
                    });
}

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\n') {
      quoted += "\\n";
    } else {
      if (c == '\'' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string RealText(double value) {
  std::string text;
  double read = value + 1;
  for (int digits = 1; digits <= 17 && read != value; ++digits) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(digits);
    out << value;
    text = out.str();
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    in >> read;
  }
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}

std::string Text(const Structure& value, const std::vector<TensorSpec>& specs);

std::string Items(const Structure& value, const std::vector<TensorSpec>& specs, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) text += ", ";
    if (value.kind == Kind::kDict) text += Quoted(value.keys[i]) + between;
    if (value.kind == Kind::kNamedTuple) text += value.keys[i] + between;
    text += Text(value.items[i], specs);
  }
  return text;
}

std::string Text(const Structure& value, const std::vector<TensorSpec>& specs) {
  switch (value.kind) {
    case Kind::kTensor: {
      const TensorSpec& spec = specs.at(static_cast<std::size_t>(value.number));
      static constexpr const char* kinds[] = {"", "sparse ", "ragged ", "composite "};
      return spec.key + ": " + kinds[static_cast<int>(spec.encoding)] + spec.ToString();
    }
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.number == 0 ? "False" : "True";
    case Kind::kInt:
      return std::to_string(value.number);
    case Kind::kFloat:
      return RealText(value.real);
    case Kind::kString:
      return Quoted(value.text);
    case Kind::kList:
      return "[" + Items(value, specs, "") + "]";
    case Kind::kTuple:
      return "(" + Items(value, specs, "") + (value.items.size() == 1 ? ",)" : ")");
    case Kind::kDict:
      return "{" + Items(value, specs, ": ") + "}";
    case Kind::kNamedTuple:
      return value.text + "(" + Items(value, specs, "=") + ")";
    case Kind::kDType:
    case Kind::kOther:
      return value.text;
  }
  return "";
}

}  // namespace

std::size_t SavedFunction::FindTrace(Span<const Tensor> tensors, const Constants& constants) const {
  return WithErrors(path, [&] {
    if (traces.empty()) {
      throw UsageError(UsageError::Kind::kArguments,
                       "function '" + path + "' was never traced, so there is nothing to run");
    }
    for (std::size_t i = 0; i < traces.size(); ++i) {
      if (TakesTensors(traces[i], tensors) && TakesConstants(ArgumentsOf(parameters, traces[i]), constants)) {
        return i;
      }
    }
    std::string given;
    for (const Tensor& tensor : tensors) {
      given += (given.empty() ? "" : ", ") + std::string(DTypeName(tensor.dtype())) + " " +
               tensor.shape().ToString();
    }
    for (const auto& [name, constant] : constants) {
      given += (given.empty() ? "" : ", ") + name + "=" + Text(ToStructure(constant), {});
    }
    std::string known;
    for (std::size_t i = 0; i < traces.size(); ++i) known += "\n  " + Describe(i);
    throw UsageError(UsageError::Kind::kArguments,
                     "function '" + path + "' has no trace for (" + given + "); it was traced for:" + known);
  });
}

std::string SavedFunction::Label(std::size_t trace) const {
  return WithErrors(path, [&] {
    return "function '" + path + "'" + (traces.size() > 1 ? ", trace " + std::to_string(trace) : "");
  });
}

void SavedFunction::CheckTrace(std::size_t trace) const {
  if (trace < traces.size()) return;
  internal::Throw(path, [&] {
    return UsageError(UsageError::Kind::kValue,
                      "function '" + path + "' has no trace " + std::to_string(trace) + "; it has " +
                          std::to_string(traces.size()) + " traces, numbered from 0");
  });
}

std::string SavedFunction::Describe(std::size_t trace) const {
  CheckTrace(trace);
  return WithErrors(path, [&] {
    std::string text;
    for (const Argument& argument : ArgumentsOf(parameters, traces[trace])) {
      if (!text.empty()) text += ", ";
      if (!argument.name.empty() && argument.value->kind != Kind::kTensor) text += argument.name + "=";
      text += Text(*argument.value, traces[trace].inputs);
    }
    return "(" + text + ")";
  });
}

}  // namespace savedmodel
