// SPDX-License-Identifier: Apache-2.0
#include "engine/warmup/records.h"

#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/base/paths.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "savedmodel/error.h"
#include "tensorflow/core/lib/core/coding.h"
#include "tensorflow/core/lib/hash/crc32c.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/platform/env.h"

namespace savedmodel::engine::warmup {
namespace {

namespace crc32c = tensorflow::crc32c;
using tensorflow::Env;
using tensorflow::io::RecordWriter;

constexpr std::size_t kHeader = RecordWriter::kHeaderSize;
constexpr std::size_t kFooter = RecordWriter::kFooterSize;
constexpr std::size_t kLength = sizeof(std::uint64_t);

bool HasChecksum(std::string_view data, const char* checksum) {
  return crc32c::Mask(crc32c::Value(data.data(), data.size())) == tensorflow::core::DecodeFixed32(checksum);
}

void Write(const std::string& file, const std::vector<std::string>& records) {
  std::unique_ptr<tensorflow::WritableFile> opened;
  ThrowIfError(Env::Default()->NewWritableFile(file, &opened));
  RecordWriter writer(opened.get());
  for (const std::string& record : records) ThrowIfError(writer.WriteRecord(record), Quote(file));
  ThrowIfError(writer.Close(), Quote(file));
  ThrowIfError(opened->Sync(), Quote(file));
  ThrowIfError(opened->Close(), Quote(file));
}

}  // namespace

// TensorFlow's reader would allocate as many bytes as a damaged length says.
std::vector<std::string> ReadRecords(const std::string& file) {
  CheckRegularFile(file);
  std::string content;
  ThrowIfError(tensorflow::ReadFileToString(Env::Default(), file, &content), Quote(file));
  std::vector<std::string> records;
  std::string_view left = content;
  while (!left.empty()) {
    const std::string number = "record " + std::to_string(records.size() + 1);
    if (left.size() < kHeader || !HasChecksum(left.substr(0, kLength), &left[kLength])) {
      throw Error(Code::kDataLoss,
                  Quote(file) + ": " + number + " has no valid length; is it a TFRecord file?");
    }
    const std::uint64_t length = tensorflow::core::DecodeFixed64(left.data());
    left.remove_prefix(kHeader);
    if (left.size() < kFooter || left.size() - kFooter < length) {
      throw Error(Code::kDataLoss, Quote(file) + " ends in the middle of " + number);
    }
    if (!HasChecksum(left.substr(0, length), &left[length])) {
      throw Error(Code::kDataLoss, Quote(file) + ": " + number + " has a wrong checksum");
    }
    records.emplace_back(left.substr(0, length));
    left.remove_prefix(length + kFooter);
  }
  return records;
}

void WriteRecords(const std::string& file, const std::vector<std::string>& records) {
  const std::size_t slash = file.rfind('/') + 1;
  std::string hidden = file.substr(0, slash) + "." + file.substr(slash) + "-";
  Env::Default()->CreateUniqueFileName(&hidden, "");
  try {
    Write(hidden, records);
    ThrowIfError(Env::Default()->RenameFile(hidden, file), Quote(file));
  } catch (const Error&) {
    Env::Default()->DeleteFile(hidden).IgnoreError();
    throw;
  }
}

}  // namespace savedmodel::engine::warmup
