// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/watched.h"

#include <cmath>
#include <utility>

#include "core/watcher.h"

namespace savedmodel {

Watched Watched::Start(const std::string& directory, WatchOptions options) {
  if (!(options.poll > 0) || !std::isfinite(options.poll)) {
    throw UsageError(UsageError::Kind::kValue, "WatchOptions::poll is a positive number of seconds");
  }
  if (options.versions < 0) {
    throw UsageError(UsageError::Kind::kValue, "WatchOptions::versions is 0, for all, or more");
  }
  return Watched(internal::Watcher::Start(directory, std::move(options)));
}

Model Watched::model() const { return watcher_->model(); }
Model Watched::model(std::int64_t version) const { return watcher_->model(version); }
std::int64_t Watched::version() const { return watcher_->version(); }
WatchStatus Watched::status() const { return watcher_->status(); }
void Watched::Refresh() { watcher_->Look(); }

}  // namespace savedmodel
