// SPDX-License-Identifier: Apache-2.0
// Changes to a SavedModel proto that keep it a valid proto.
#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/protobuf/saved_model.pb.h"

namespace savedmodel::fuzz {

// Deterministic: the same proto, seed and ops give the same changes.
class Mutator {
 public:
  // `ops`: names that a node's op may be changed to, beside those of the model.
  Mutator(tensorflow::SavedModel* model, std::uint64_t seed, std::vector<std::string> ops);

  // One to three changes; says what they were.
  std::string Mutate();

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }

  void Collect(const Message& message);
  Message* Section(std::string* where);
  std::string Change(Message* message, const std::string& where);
  std::string ChangeList(Message* message, const Field* field, const std::string& where);
  std::string ChangeValue(Message* message, const Field* field, int index, const std::string& where);
  std::string Text(const Field* field, const std::string& old);
  std::int64_t Number(std::int64_t old);
  int EnumValue(const Field* field);

  tensorflow::SavedModel* model_;
  std::mt19937_64 random_;
  std::vector<std::string> ops_;
  std::vector<std::string> texts_;  // of the model, sorted
  std::set<std::string> collected_;
};

}  // namespace savedmodel::fuzz
