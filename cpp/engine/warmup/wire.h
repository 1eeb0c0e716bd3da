// SPDX-License-Identifier: Apache-2.0
// Fields of serialized messages that have no generated class here: those of TensorFlow Serving.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace savedmodel::engine::warmup {

struct Field {
  int number;
  std::string_view bytes;
};

// The fields that are messages or strings, in their order, as views on `message`. Throws Error (kDataLoss).
std::vector<Field> ReadFields(std::string_view message);

// Those of one number; the last of them, or an empty one.
std::vector<std::string_view> AllOf(std::string_view message, int number);
std::string_view LastOf(std::string_view message, int number);

void AppendField(int number, std::string_view bytes, std::string* message);

}  // namespace savedmodel::engine::warmup
