// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/watched.h"

#include <cmath>
#include <utility>

#include "core/watcher.h"
#include "core/with_errors.h"

namespace savedmodel {

using internal::WithErrors;

namespace {
constexpr char kSubject[] = "a watched model";
}  // namespace

WatchOptions::WatchOptions() { load.warmup = true; }

Watched Watched::Start(const std::string& directory, WatchOptions options) {
  return WithErrors(internal::Subject::Quoted(directory), [&] {
    if (!(options.poll.count() > 0) || !std::isfinite(options.poll.count())) {
      throw UsageError(UsageError::Kind::kValue, "WatchOptions::poll must be a positive number of seconds");
    }
    if (options.versions < 0) {
      throw UsageError(UsageError::Kind::kValue, "WatchOptions::versions must be 0 (all) or more");
    }
    return Watched(internal::Watcher::Start(directory, std::move(options)));
  });
}

internal::Watcher& Watched::watcher() const {
  if (watcher_ == nullptr) internal::RefuseEmpty("Watched");
  return *watcher_;
}

Model Watched::model() const {
  return WithErrors(kSubject, [&] { return watcher().model(); });
}
Model Watched::model(std::int64_t version) const {
  return WithErrors(kSubject, [&] { return watcher().model(version); });
}
std::int64_t Watched::version() const {
  return WithErrors(kSubject, [&] { return watcher().version(); });
}
WatchStatus Watched::status() const {
  return WithErrors(kSubject, [&] { return watcher().status(); });
}
void Watched::Refresh() {
  WithErrors(kSubject, [&] { watcher().Look(); });
}
bool Watched::Wait() {
  return WithErrors(kSubject, [&] { return watcher().Wait(); });
}
void Watched::Stop() {
  WithErrors(kSubject, [&] { watcher().Stop(); });
}
void Watched::Close() {
  WithErrors(kSubject, [&] { watcher().Close(); });
}

}  // namespace savedmodel
