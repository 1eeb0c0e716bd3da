// SPDX-License-Identifier: Apache-2.0
// The server's log: a line on stderr for each event, as text or as a JSON object.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace server {

enum class Level { kInfo, kError };

void UseJsonLog(bool json);
// As text, `message`; as JSON {"time", "level", "message", ...fields}. `fields` is an object, or null.
void Log(Level level, const std::string& message, const nlohmann::json& fields = nullptr);

}  // namespace server
