// SPDX-License-Identifier: Apache-2.0
// SavedModels written to a directory that is there whole, or not at all.
#pragma once

#include <functional>
#include <string>

namespace savedmodel::engine {

bool SameDirectory(const std::string& a, const std::string& b);

// Those of `source`'s files (relative paths) that are wanted. Never what tells of the source as it is:
// optimized graphs, and the list of files that a published version has. Throws Error.
void CopyFiles(const std::string& source, const std::string& target,
               const std::function<bool(const std::string& file)>& wanted);

// `fill` writes to a temporary sibling of `target`, which gets its name at the end; where it throws, nothing
// is left. `replace`: a SavedModel, or an empty directory, may be there, and is until then. Throws Error
// (kAlreadyExists).
void WriteWhole(const std::string& target, bool replace,
                const std::function<void(const std::string& folder)>& fill);

}  // namespace savedmodel::engine
