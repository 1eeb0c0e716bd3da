// SPDX-License-Identifier: Apache-2.0
// JSON with NaN, Infinity and -Infinity, as TensorFlow Serving, JavaScript and Python write them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace server {

using Json = nlohmann::json;

// An object; a number that is not finite is a string that NotFinite knows. Throws Error (kInvalidArgument).
Json ParseJson(const std::string& text);
// The number, or nothing if `value` is something else.
std::optional<double> NotFinite(const Json& value);

}  // namespace server
