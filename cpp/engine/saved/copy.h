// SPDX-License-Identifier: Apache-2.0
// A SavedModel copied from one directory to another.
#pragma once

#include <functional>
#include <string>

namespace savedmodel::engine {

bool SameDirectory(const std::string& a, const std::string& b);

// All files but optimized ones. `complete` adds to the copy, which is given its name, `target`, at the end:
// it is there whole, or not at all. Throws Error (kAlreadyExists).
void CopySavedModel(const std::string& source, const std::string& target,
                    const std::function<void(const std::string& copy)>& complete);

}  // namespace savedmodel::engine
