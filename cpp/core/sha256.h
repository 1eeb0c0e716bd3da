// SPDX-License-Identifier: Apache-2.0
// INTERNAL. SHA-256: FIPS 180-4.
#pragma once

#include <string>
#include <string_view>

namespace savedmodel::internal {

// In hexadecimal.
std::string Sha256(std::string_view data);

}  // namespace savedmodel::internal
