// SPDX-License-Identifier: Apache-2.0
// Errors of requests, in the caller's terms: no text names a path of the server.
#pragma once

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <savedmodel/savedmodel.h>

#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace server {

template <typename... Parts>
[[noreturn]] void Refuse(const Parts&... parts) {
  throw savedmodel::Error(savedmodel::Code::kInvalidArgument, absl::StrCat(parts...));
}

struct Status {
  std::optional<savedmodel::Code> code;  // none: it went well
  std::string message;
  bool ok() const { return !code; }
  std::string name() const { return code ? savedmodel::CodeName(*code) : "OK"; }
};

// Directories of models, which error texts leave out. Written before there are requests.
inline std::vector<std::string>& HiddenPaths() {
  static std::vector<std::string> paths;
  return paths;
}

// Of the exception that is being handled.
inline Status CurrentStatus() {
  const auto status = [](savedmodel::Code code, std::string text) {
    for (const std::string& path : HiddenPaths()) text = absl::StrReplaceAll(text, {{path, ""}});
    return Status{code, text.substr(0, 1000)};  // in gRPC it is a header
  };
  try {
    throw;
  } catch (const savedmodel::Error& error) {
    return status(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return {savedmodel::Code::kResourceExhausted, "out of memory"};
  } catch (const std::exception& error) {
    return status(savedmodel::Code::kInternal, error.what());
  }
}

template <typename Function>
Status StatusOf(const Function& function) {
  try {
    function();
    return {};
  } catch (...) {
    return CurrentStatus();
  }
}

}  // namespace server
