// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/records.h"

#include <string>
#include <utility>

#include "savedmodel/error.h"
#include "tensorflow/core/framework/attr_value.pb.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

using Attributes = google::protobuf::Map<std::string, tf::AttrValue>;

void WriteNames(const std::vector<std::string>& names, const char* key, tf::MetaGraphDef* record) {
  auto* list = (*record->mutable_collection_def())[key].mutable_node_list();
  for (const std::string& name : names) list->add_value(name);
}

std::vector<std::string> ReadNames(const tf::MetaGraphDef& record, const char* key) {
  const auto found = record.collection_def().find(key);
  if (found == record.collection_def().end()) return {};
  const auto& values = found->second.node_list().value();
  return {values.begin(), values.end()};
}

void WriteTypes(const std::vector<tf::DataType>& types, const char* key, tf::MetaGraphDef* record) {
  auto* list = (*record->mutable_collection_def())[key].mutable_int64_list();
  for (const tf::DataType type : types) list->add_value(type);
}

std::vector<tf::DataType> ReadTypes(const tf::MetaGraphDef& record, const char* key) {
  std::vector<tf::DataType> types;
  const auto found = record.collection_def().find(key);
  if (found == record.collection_def().end()) return types;
  for (const std::int64_t type : found->second.int64_list().value()) {
    types.push_back(static_cast<tf::DataType>(type));
  }
  return types;
}

template <typename Message>
void WriteMessages(const std::vector<Message>& messages, const char* key, tf::MetaGraphDef* record) {
  auto* list = (*record->mutable_collection_def())[key].mutable_bytes_list();
  for (const Message& message : messages) list->add_value(message.SerializeAsString());
}

template <typename Message>
std::vector<Message> ReadMessages(const tf::MetaGraphDef& record, const char* key) {
  std::vector<Message> messages;
  const auto found = record.collection_def().find(key);
  if (found == record.collection_def().end()) return messages;
  for (const std::string& bytes : found->second.bytes_list().value()) {
    if (!messages.emplace_back().ParseFromString(bytes)) throw Error(Code::kDataLoss, "it is corrupted");
  }
  return messages;
}

tf::NameAttrList ToMessage(const PassReport& pass) {
  tf::NameAttrList message;
  message.set_name(pass.name);
  Attributes& attr = *message.mutable_attr();
  attr["what"].set_s(pass.what);
  attr["count"].set_i(pass.count);
  attr["seconds"].set_f(static_cast<float>(pass.seconds));
  return message;
}

tf::NameAttrList ToMessage(const OptimizationReport& report) {
  tf::NameAttrList message;
  message.set_name(report.function);
  Attributes& attr = *message.mutable_attr();
  for (const PassReport& pass : report.passes) *attr["passes"].mutable_list()->add_func() = ToMessage(pass);
  for (const std::string& note : report.notes) attr["notes"].mutable_list()->add_s(note);
  for (const std::string& layer : report.int8_layers) attr["int8_layers"].mutable_list()->add_s(layer);
  attr["nodes_before"].set_i(report.nodes_before);
  attr["nodes_after"].set_i(report.nodes_after);
  attr["variables_frozen"].set_i(report.variables_frozen);
  attr["frozen_bytes"].set_i(report.frozen_bytes);
  attr["seconds"].set_f(static_cast<float>(report.seconds));
  return message;
}

OptimizationReport ToReport(const tf::NameAttrList& message) {
  OptimizationReport report;
  report.function = message.name();
  Attributes attr = message.attr();
  for (const tf::NameAttrList& func : attr["passes"].list().func()) {
    Attributes pass = func.attr();
    report.passes.push_back(
        {func.name(), pass["what"].s(), static_cast<int>(pass["count"].i()), pass["seconds"].f()});
  }
  for (const std::string& note : attr["notes"].list().s()) report.notes.push_back(note);
  for (const std::string& layer : attr["int8_layers"].list().s()) report.int8_layers.push_back(layer);
  report.nodes_before = static_cast<int>(attr["nodes_before"].i());
  report.nodes_after = static_cast<int>(attr["nodes_after"].i());
  report.variables_frozen = static_cast<int>(attr["variables_frozen"].i());
  report.frozen_bytes = attr["frozen_bytes"].i();
  report.seconds = attr["seconds"].f();
  report.optimized = true;
  return report;
}

}  // namespace

void WriteManifest(const Manifest& manifest, tf::MetaGraphDef* record) {
  tf::NameAttrList origin;
  for (const auto& [topic, value] : manifest.origin) (*origin.mutable_attr())[topic].set_s(value);
  WriteMessages<tf::NameAttrList>({origin}, "origin", record);
  WriteMessages(manifest.weights, "weights", record);
}

Manifest ReadManifest(const tf::MetaGraphDef& record) {
  Manifest manifest;
  for (const tf::NameAttrList& origin : ReadMessages<tf::NameAttrList>(record, "origin")) {
    for (const auto& [topic, value] : origin.attr()) manifest.origin[topic] = value.s();
  }
  manifest.weights = ReadMessages<tf::BundleEntryProto>(record, "weights");
  return manifest;
}

void WriteFunction(const OptimizedFunction& function, tf::MetaGraphDef* record) {
  *record->mutable_graph_def() = function.isolated.graph;
  WriteNames(function.function.feeds, "feeds", record);
  WriteTypes(function.function.feed_types, "feed_types", record);
  WriteNames(function.function.fetches, "fetches", record);
  WriteTypes(function.function.fetch_types, "fetch_types", record);
  WriteNames(function.isolated.feeds, "isolated_feeds", record);
  WriteNames(function.isolated.fetches, "isolated_fetches", record);
  WriteNames({function.frozen.begin(), function.frozen.end()}, "frozen", record);
  WriteMessages<tf::NameAttrList>({ToMessage(function.report)}, "report", record);
  (*record->mutable_collection_def())["standalone"].mutable_int64_list()->add_value(function.standalone);
}

OptimizedFunction ReadFunction(tf::MetaGraphDef* record) {
  OptimizedFunction function;
  function.function = {ReadNames(*record, "feeds"),
                       ReadTypes(*record, "feed_types"),
                       ReadNames(*record, "fetches"),
                       ReadTypes(*record, "fetch_types"),
                       {}};
  function.isolated.feeds = ReadNames(*record, "isolated_feeds");
  function.isolated.fetches = ReadNames(*record, "isolated_fetches");
  const std::vector<std::string> frozen = ReadNames(*record, "frozen");
  function.frozen.insert(frozen.begin(), frozen.end());
  const auto reports = ReadMessages<tf::NameAttrList>(*record, "report");
  if (reports.size() != 1 || function.function.fetches.size() != function.isolated.fetches.size() ||
      function.function.feeds.size() != function.isolated.feeds.size()) {
    throw Error(Code::kDataLoss, "it is corrupted");
  }
  function.report = ToReport(reports.front());
  const auto standalone = record->collection_def().find("standalone");
  function.standalone = standalone != record->collection_def().end() &&
                        standalone->second.int64_list().value_size() == 1 &&
                        standalone->second.int64_list().value(0) != 0;
  function.isolated.graph.Swap(record->mutable_graph_def());
  return function;
}

}  // namespace savedmodel::engine
