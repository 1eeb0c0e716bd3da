// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/protobuf/saved_object_graph.pb.h"

namespace savedmodel::fuzz {
namespace tf = tensorflow;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

namespace {

constexpr std::size_t kLongestKept = 200;
constexpr double kNumbers[] = {0, -1, 1, 0.5, 1e30, -1e-30};

std::string KeyOf(const google::protobuf::Message& entry) {
  const auto* key = entry.GetDescriptor()->map_key();
  return key->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? entry.GetReflection()->GetString(entry, key)
                                                            : entry.ShortDebugString();
}

// The order of a map's entries differs from process to process.
int EntryInOrder(const google::protobuf::Message& message, const FieldDescriptor* field, int index) {
  const Reflection* reflection = message.GetReflection();
  std::vector<std::pair<std::string, int>> entries;
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    entries.emplace_back(KeyOf(reflection->GetRepeatedMessage(message, field, i)), i);
  }
  std::sort(entries.begin(), entries.end());
  return entries[static_cast<std::size_t>(index)].second;
}

}  // namespace

Mutator::Mutator(tf::SavedModel* model, std::uint64_t seed, std::vector<std::string> ops)
    : model_(model), random_(seed * 0x9E3779B97F4A7C15U + 1), ops_(std::move(ops)) {
  Collect(*model);
  texts_.assign(collected_.begin(), collected_.end());
}

// The names of the model: nodes, tensors, functions, attributes. Descriptions of ops are left out.
void Mutator::Collect(const Message& message) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const Field*> fields;
  reflection->ListFields(message, &fields);
  for (const Field* field : fields) {
    if (field->name() == "stripped_op_list") continue;
    const int size = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
        Collect(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                     : reflection->GetMessage(message, field));
      } else if (field->type() == Field::TYPE_STRING) {
        const std::string text = field->is_repeated() ? reflection->GetRepeatedString(message, field, i)
                                                      : reflection->GetString(message, field);
        if (text.size() <= kLongestKept) collected_.insert(text);
      }
    }
  }
}

// Where a change is made: what a load reads most is chosen most often.
google::protobuf::Message* Mutator::Section(std::string* where) {
  tf::MetaGraphDef* graph = model_->mutable_meta_graphs(
      static_cast<int>(Below(static_cast<std::uint64_t>(model_->meta_graphs_size()))));
  const std::uint64_t choice = Below(20);
  if (choice < 8 && graph->graph_def().node_size() > 0) {
    *where = "node";
    return graph->mutable_graph_def()->mutable_node(
        static_cast<int>(Below(static_cast<std::uint64_t>(graph->graph_def().node_size()))));
  }
  if (choice < 13 && graph->graph_def().library().function_size() > 0) {
    *where = "function";
    auto* library = graph->mutable_graph_def()->mutable_library();
    return library->mutable_function(
        static_cast<int>(Below(static_cast<std::uint64_t>(library->function_size()))));
  }
  if (choice < 14) return *where = "graph_def", graph->mutable_graph_def();
  if (choice < 16 && graph->has_object_graph_def() && OneIn(2)) {
    return *where = "object_graph_def", graph->mutable_object_graph_def();
  }
  if (choice < 17 && graph->has_saver_def()) return *where = "saver_def", graph->mutable_saver_def();
  if (choice < 18) return *where = "meta_info_def", graph->mutable_meta_info_def();
  *where = "meta_graph";
  return graph;
}

std::string Mutator::Mutate() {
  std::string said;
  for (std::uint64_t left = 1 + Below(3); left > 0; --left) {
    std::string where;
    Message* section = Section(&where);
    if (where == "node" || where == "function") where += " " + section->ShortDebugString().substr(0, 60);
    said += Change(section, where) + "\n";
  }
  return said;
}

std::string Mutator::Change(Message* message, const std::string& where) {
  const Reflection* reflection = message->GetReflection();
  const auto* descriptor = message->GetDescriptor();
  std::vector<const Field*> fields;
  reflection->ListFields(*message, &fields);
  if (fields.empty() || OneIn(12)) {  // one that is not set
    if (descriptor->field_count() == 0) return where + ": nothing to change";
    fields = {
        descriptor->field(static_cast<int>(Below(static_cast<std::uint64_t>(descriptor->field_count()))))};
  }
  const Field* field = fields[Below(fields.size())];
  const std::string place = where + "." + std::string(field->name());
  if (field->is_repeated()) return ChangeList(message, field, place);
  if (field->cpp_type() != Field::CPPTYPE_MESSAGE) return ChangeValue(message, field, -1, place);
  if (OneIn(8)) {
    reflection->ClearField(message, field);
    return place + " cleared";
  }
  return Change(reflection->MutableMessage(message, field), place);
}

std::string Mutator::ChangeList(Message* message, const Field* field, const std::string& where) {
  const Reflection* reflection = message->GetReflection();
  const bool messages = field->cpp_type() == Field::CPPTYPE_MESSAGE;
  const int size = reflection->FieldSize(*message, field);
  if (size == 0) {
    if (messages) return Change(reflection->AddMessage(message, field), where + "[new]");
    if (field->cpp_type() == Field::CPPTYPE_STRING) {
      reflection->AddString(message, field, Text(field, ""));
    } else if (field->cpp_type() == Field::CPPTYPE_INT64) {
      reflection->AddInt64(message, field, Number(0));
    } else if (field->cpp_type() == Field::CPPTYPE_ENUM) {
      reflection->AddEnumValue(message, field, EnumValue(field));
    }
    return where + " got one";
  }
  int index = static_cast<int>(Below(static_cast<std::uint64_t>(size)));
  if (field->is_map()) index = EntryInOrder(*message, field, index);
  const std::string place = where + "[" + std::to_string(index) + "]";
  switch (Below(8)) {
    case 0:  // for a map: any of its entries
      if (field->is_map()) break;
      reflection->SwapElements(message, field, index, size - 1);
      reflection->RemoveLast(message, field);
      return place + " removed";
    case 1:
      if (field->is_map()) break;
      reflection->SwapElements(message, field, index,
                               static_cast<int>(Below(static_cast<std::uint64_t>(size))));
      return place + " swapped";
    case 2:
      if (field->is_map()) break;
      if (messages) {
        const std::unique_ptr<Message> copy(reflection->GetRepeatedMessage(*message, field, index).New());
        copy->CopyFrom(reflection->GetRepeatedMessage(*message, field, index));
        reflection->AddMessage(message, field)->CopyFrom(*copy);
      } else if (field->cpp_type() == Field::CPPTYPE_STRING) {
        reflection->AddString(message, field, reflection->GetRepeatedString(*message, field, index));
      }
      return place + " doubled";
    default:
      break;
  }
  if (!messages) return ChangeValue(message, field, index, place);
  Message* entry = reflection->MutableRepeatedMessage(message, field, index);
  if (field->is_map() && !OneIn(12)) {
    const auto* value = entry->GetDescriptor()->map_value();
    const std::string name = where + "{" + KeyOf(*entry) + "}";
    if (value->cpp_type() == Field::CPPTYPE_MESSAGE) {
      return Change(entry->GetReflection()->MutableMessage(entry, value), name);
    }
    return ChangeValue(entry, value, -1, name);
  }
  return Change(entry, place);
}

std::string Mutator::ChangeValue(Message* message, const Field* field, int index, const std::string& where) {
  const Reflection* reflection = message->GetReflection();
  const auto set = [&](auto get, auto get_one, auto put, auto put_one, auto change) {
    if (index < 0) {
      (reflection->*put)(message, field, change((reflection->*get)(*message, field)));
    } else {
      (reflection->*put_one)(message, field, index, change((reflection->*get_one)(*message, field, index)));
    }
  };
  const auto real = [&](auto old) {
    if (OneIn(4)) return std::numeric_limits<decltype(old)>::quiet_NaN();
    return static_cast<decltype(old)>(kNumbers[Below(std::size(kNumbers))]);
  };
  switch (field->cpp_type()) {
    case Field::CPPTYPE_INT32:
      set(&Reflection::GetInt32, &Reflection::GetRepeatedInt32, &Reflection::SetInt32,
          &Reflection::SetRepeatedInt32,
          [&](std::int32_t old) { return static_cast<std::int32_t>(Number(old)); });
      break;
    case Field::CPPTYPE_INT64:
      set(&Reflection::GetInt64, &Reflection::GetRepeatedInt64, &Reflection::SetInt64,
          &Reflection::SetRepeatedInt64, [&](std::int64_t old) { return Number(old); });
      break;
    case Field::CPPTYPE_UINT32:
      set(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32, &Reflection::SetUInt32,
          &Reflection::SetRepeatedUInt32,
          [&](std::uint32_t old) { return static_cast<std::uint32_t>(Number(old)); });
      break;
    case Field::CPPTYPE_UINT64:
      set(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64, &Reflection::SetUInt64,
          &Reflection::SetRepeatedUInt64, [&](std::uint64_t old) {
            return static_cast<std::uint64_t>(Number(static_cast<std::int64_t>(old)));
          });
      break;
    case Field::CPPTYPE_FLOAT:
      set(&Reflection::GetFloat, &Reflection::GetRepeatedFloat, &Reflection::SetFloat,
          &Reflection::SetRepeatedFloat, real);
      break;
    case Field::CPPTYPE_DOUBLE:
      set(&Reflection::GetDouble, &Reflection::GetRepeatedDouble, &Reflection::SetDouble,
          &Reflection::SetRepeatedDouble, real);
      break;
    case Field::CPPTYPE_BOOL:
      set(&Reflection::GetBool, &Reflection::GetRepeatedBool, &Reflection::SetBool,
          &Reflection::SetRepeatedBool, [](bool old) { return !old; });
      break;
    case Field::CPPTYPE_ENUM:
      set(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue, &Reflection::SetEnumValue,
          &Reflection::SetRepeatedEnumValue, [&](int) { return EnumValue(field); });
      break;
    case Field::CPPTYPE_STRING:
      if (index < 0) {
        reflection->SetString(message, field, Text(field, reflection->GetString(*message, field)));
      } else {
        reflection->SetRepeatedString(message, field, index,
                                      Text(field, reflection->GetRepeatedString(*message, field, index)));
      }
      break;
    case Field::CPPTYPE_MESSAGE:
      break;
  }
  return where + " changed";
}

std::string Mutator::Text(const Field* field, const std::string& old) {
  if (field->type() == Field::TYPE_BYTES && OneIn(2)) {
    switch (Below(4)) {
      case 0:
        return old.substr(0, old.size() / 2);
      case 1:
        return old + old;
      case 2:
        return old + std::string(1, '\xff');
      default:
        return std::string(64, '\0');
    }
  }
  const auto any = [&]() -> std::string { return texts_.empty() ? "" : texts_[Below(texts_.size())]; };
  if (field->name() == "op" && !OneIn(3)) return ops_[Below(ops_.size())];
  switch (Below(12)) {
    case 0:
      return "";
    case 1:
      return any() + ":0";
    case 2:
      return any() + ":1";
    case 3:
      return "^" + any();
    case 4:
      return old + ":99";
    case 5:
      return old + ":-1";
    case 6:
      return "../" + old;
    case 7:
      return old + "x";
    case 8:
      return OneIn(50) ? std::string(70000, 'x') : any() + "/" + any();
    default:
      return any();
  }
}

std::int64_t Mutator::Number(std::int64_t old) {
  constexpr std::int64_t kInt32 = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kInt64 = std::numeric_limits<std::int64_t>::max();
  const std::int64_t values[] = {0,       -1,     1,       2,      7,       255,
                                 1 << 16, kInt32, -kInt32, kInt64, -kInt64, std::int64_t{1} << 40};
  switch (Below(4)) {
    case 0:
      return old + 1;
    case 1:
      return old - 1;
    default:
      return values[Below(std::size(values))];
  }
}

int Mutator::EnumValue(const Field* field) {
  if (OneIn(10)) return static_cast<int>(Number(0));
  const auto* type = field->enum_type();
  return type->value(static_cast<int>(Below(static_cast<std::uint64_t>(type->value_count()))))->number();
}

}  // namespace savedmodel::fuzz
