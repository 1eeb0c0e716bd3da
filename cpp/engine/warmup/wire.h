// SPDX-License-Identifier: Apache-2.0
// Reads and writes serialized messages without generated classes: those of TensorFlow Serving.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace savedmodel::engine::warmup {

struct Field {
  int number;
  std::string_view bytes;
};

// Returns the fields that are messages or strings, in order, as views on `message`. Throws Error (kDataLoss).
std::vector<Field> ReadFields(std::string_view message);

// Return all fields with a number, or the last of them (empty if there is none).
std::vector<std::string_view> AllOf(std::string_view message, int number);
std::string_view LastOf(std::string_view message, int number);

void AppendField(int number, std::string_view bytes, std::string* message);

}  // namespace savedmodel::engine::warmup
