// SPDX-License-Identifier: Apache-2.0
// Writes the variables' files with a subset of the variables.
#pragma once

#include <set>
#include <string>

namespace savedmodel::engine::edit {

// Writes the variables in `names` that `source` has to variables/ of `target`. Reads one at a time. Throws
// Error.
void CopyVariables(const std::string& source, const std::string& target, const std::set<std::string>& names);

}  // namespace savedmodel::engine::edit
