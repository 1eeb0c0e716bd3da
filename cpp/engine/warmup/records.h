// SPDX-License-Identifier: Apache-2.0
// TFRecord files: length, checksum of it, data, checksum of that.
#pragma once

#include <string>
#include <vector>

namespace savedmodel::engine::warmup {

// Throws Error: kDataLoss that names the record.
std::vector<std::string> ReadRecords(const std::string& file);

// Writes the file to the disk itself, under another name until it is whole. Throws Error.
void WriteRecords(const std::string& file, const std::vector<std::string>& records);

}  // namespace savedmodel::engine::warmup
