// SPDX-License-Identifier: Apache-2.0
// The variables' files, with some of the variables.
#pragma once

#include <set>
#include <string>

namespace savedmodel::engine::edit {

// Writes those of `names` that `source` has to variables/ of `target`. Reads one at a time. Throws Error.
void CopyVariables(const std::string& source, const std::string& target, const std::set<std::string>& names);

}  // namespace savedmodel::engine::edit
