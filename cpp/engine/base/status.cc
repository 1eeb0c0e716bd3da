// SPDX-License-Identifier: Apache-2.0
#include "engine/base/status.h"

namespace savedmodel::engine {

void ThrowIfError(const absl::Status& status, const std::string& context) {
  if (status.ok()) return;
  const int code = static_cast<int>(status.code());  // canonical, as Code is
  std::string message(status.message());
  if (!context.empty()) message = context + ": " + message;
  throw Error(code >= 1 && code <= 16 ? static_cast<Code>(code) : Code::kUnknown, message);
}

}  // namespace savedmodel::engine
