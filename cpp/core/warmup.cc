// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/warmup.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/engine.h"
#include "core/manifest.h"
#include "core/runtime.h"
#include "core/with_errors.h"

namespace savedmodel {

using internal::GetEngine;
using internal::Subject;
using internal::WithErrors;

namespace {

namespace fs = std::filesystem;

std::string WarmupFile(const std::string& path) { return (fs::path(path) / kWarmupFile).string(); }

bool IsThere(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored);
}

void MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (!error) return;
  const bool denied = error == std::errc::permission_denied || error == std::errc::read_only_file_system;
  throw Error(denied ? Code::kPermissionDenied : Code::kFailedPrecondition,
              "can't create '" + folder.string() + "': " + error.message());
}

void Send(const Model& model, const WarmupRequest& request) {
  const Function function = model.function(request.signature, request.outputs);
  Function::Named inputs = request.inputs;
  if (request.examples) {
    std::string key = "inputs";
    const std::vector<TensorSpec>& specs = function.inputs();
    const auto is_key = [&](const TensorSpec& spec) { return spec.key == key; };
    if (!specs.empty() && std::none_of(specs.begin(), specs.end(), is_key)) key = specs.front().key;
    inputs = {{key, request.examples}};
  }
  (void)function.Run(inputs);
}

std::string NameOf(std::size_t index, const std::string& file) {
  return "warm-up request " + std::to_string(index + 1) + " of '" + file + "'";
}

// Errors of `body` name the request.
template <typename Body>
void NameRequest(std::size_t index, const std::string& file, const Body& body) {
  try {
    body();
  } catch (const OutOfMemory&) {
    throw;
  } catch (const UsageError& error) {
    throw Error(Code::kInvalidArgument, NameOf(index, file) + ": " + error.what());
  } catch (const Error& error) {
    throw Error(error.code(), NameOf(index, file) + ": " + error.what());
  }
}

// Returns false if no signature answers requests of this type.
bool Answer(const Model& model, const std::string& record) {
  const std::vector<WarmupRequest> requests = GetEngine().ParseRequests(record);
  for (const WarmupRequest& request : requests) Send(model, request);
  return !requests.empty();
}

}  // namespace

std::vector<std::vector<WarmupRequest>> ReadWarmup(const std::string& path) {
  return WithErrors(Subject::Quoted(path), [&] {
    std::vector<std::vector<WarmupRequest>> requests;
    const std::string file = WarmupFile(path);
    for (const std::string& record : GetEngine().ReadRecords(file)) {
      NameRequest(requests.size(), file, [&] { requests.push_back(GetEngine().ParseRequests(record)); });
    }
    return requests;
  });
}

std::size_t RecordWarmup(const std::string& path, const std::vector<WarmupRequest>& requests, bool append) {
  return WithErrors(Subject::Quoted(path), [&] {
    if (IsThere(fs::path(path) / internal::kManifestFile)) {
      throw Error(Code::kFailedPrecondition,
                  "'" + path + "' is published and must not change; record requests before publishing");
    }
    const std::string file = WarmupFile(path);
    std::vector<std::string> records;
    if (append && IsThere(file)) records = GetEngine().ReadRecords(file);
    const std::size_t count = records.size() + requests.size();
    if (count == 0 || count > kMaxWarmupRecords) {
      throw UsageError(UsageError::Kind::kValue, "a SavedModel must have 1 to " +
                                                     std::to_string(kMaxWarmupRecords) +
                                                     " warm-up requests, got " + std::to_string(count));
    }
    for (const WarmupRequest& request : requests) records.push_back(GetEngine().SerializeRequest(request));
    MakeFolder(fs::path(file).parent_path());
    GetEngine().WriteRecords(file, records);
    return count;
  });
}

std::size_t ReplayWarmup(const Model& model, std::vector<std::string>* warnings) {
  return WithErrors("the warm-up requests of a model", [&] {
    const auto warn = [&](const std::string& text) {
      if (warnings != nullptr) warnings->push_back(text);
    };
    const std::string file = WarmupFile(model.path());
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return std::size_t{0};
    const std::vector<std::string> records = GetEngine().ReadRecords(file);
    std::size_t answered = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (i == kMaxWarmupRecords) {
        warn("'" + file + "': requests after the first " + std::to_string(i) + " are skipped");
        break;
      }
      bool has_answer = false;
      NameRequest(i, file, [&] { has_answer = Answer(model, records[i]); });
      answered += has_answer ? 1 : 0;
      if (!has_answer) warn(NameOf(i, file) + " is skipped: no signature answers requests of its type");
    }
    return answered;
  });
}

std::string SerializeExample(const std::map<std::string, Feature>& features) {
  return WithErrors("a tf.train.Example", [&] { return GetEngine().SerializeExample(features); });
}

}  // namespace savedmodel
