// SPDX-License-Identifier: Apache-2.0
// Writes SavedModels to a directory that appears as a whole or not at all.
#pragma once

#include <functional>
#include <string>

namespace savedmodel::engine {

bool SameDirectory(const std::string& a, const std::string& b);

// Copies the wanted files of `source` (relative paths). Never copies files that describe the source itself:
// optimized graphs, and the manifest of a published version. Throws Error.
void CopyFiles(const std::string& source, const std::string& target,
               const std::function<bool(const std::string& file)>& wanted);

// `fill` writes to a temporary sibling of `target`, which is renamed at the end; if it throws, nothing is
// left. `replace`: a SavedModel, or an empty directory, may exist at `target`, and stays until then. Throws
// Error (kAlreadyExists).
void WriteWhole(const std::string& target, bool replace,
                const std::function<void(const std::string& folder)>& fill);

}  // namespace savedmodel::engine
