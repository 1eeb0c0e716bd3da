// SPDX-License-Identifier: Apache-2.0
// Errors of requests, in the caller's terms: no text names a path of the server.
#pragma once

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <savedmodel/savedmodel.h>

#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

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

// Directories of models, which error texts leave out. Thread-safe.
class HiddenPaths {
 public:
  static void Add(const std::string& directory) {
    if (directory.size() < 2) return;  // "/" is in all kinds of texts
    const std::lock_guard<std::mutex> lock(Mutex());
    Paths().insert(directory + "/");
  }
  static std::string RemoveFrom(std::string text) {
    const std::lock_guard<std::mutex> lock(Mutex());
    for (const std::string& path : Paths()) text = absl::StrReplaceAll(text, {{path, ""}});
    return text;
  }

 private:
  static std::mutex& Mutex() {
    static auto* const mutex = new std::mutex;
    return *mutex;
  }
  // Longer ones, which may begin with others, come first.
  static std::set<std::string, std::greater<>>& Paths() {
    static auto* const paths = new std::set<std::string, std::greater<>>;
    return *paths;
  }
};

// Of the exception that is being handled.
inline Status CurrentStatus() {
  const auto status = [](savedmodel::Code code, const std::string& text) {
    return Status{code, HiddenPaths::RemoveFrom(text).substr(0, 1000)};  // in gRPC it is a header
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
