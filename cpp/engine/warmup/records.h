// SPDX-License-Identifier: Apache-2.0
// TFRecord files. A record is a length, its checksum, the data, and its checksum.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::engine::warmup {

// Throws Error; kDataLoss names the record.
std::vector<std::string> ReadRecords(const std::string& file);

// Writes to a temporary file, syncs it to disk, then renames it. Throws Error.
void WriteRecords(const std::string& file, const std::vector<std::string>& records);

}  // namespace savedmodel::engine::warmup
