// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "savedmodel/export.h"

namespace savedmodel {

// The canonical status codes, numbered as in absl::StatusCode and gRPC.
enum class Code : int {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "INVALID_ARGUMENT", ...
SAVEDMODEL_API const char* CodeName(Code code);

// The base of every failure, including running out of memory. what() may contain bytes that are not UTF-8, as
// TensorFlow's own messages do.
class SAVEDMODEL_API Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message);
  ~Error() override;
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

// Running out of memory; kResourceExhausted.
class SAVEDMODEL_API OutOfMemory : public Error {
 public:
  explicit OutOfMemory(const std::string& message);
  ~OutOfMemory() override;
};

// A caller's mistake, detected before TensorFlow sees the call. Its code is kNotFound for kName, else
// kInvalidArgument.
class SAVEDMODEL_API UsageError : public Error {
 public:
  enum class Kind { kDType, kValue, kArguments, kName };
  UsageError(Kind kind, const std::string& message);
  ~UsageError() override;
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

}  // namespace savedmodel
