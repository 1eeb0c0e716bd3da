// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "savedmodel/duration.h"
#include "savedmodel/export.h"
#include "savedmodel/model.h"
#include "savedmodel/options.h"

namespace savedmodel {

namespace internal {
class Watcher;
}  // namespace internal

// A version that was put in place, or failed.
struct VersionChange {
  std::int64_t version = 0;
  std::optional<std::int64_t> previous;  // the highest before; still the highest after an error
  std::string error;                     // why it could not be loaded or warmed up; else empty
  std::exception_ptr exception;          // what was thrown then; else null
  double seconds = 0;                    // duration of the load and the warm-up
};

struct SAVEDMODEL_API WatchOptions {
  WatchOptions();    // with load.warmup
  LoadOptions load;  // with `warmup`, a version that does not answer its recorded requests is rejected
  Seconds poll = 1;  // interval between looks at the directory
  // Number of versions kept loaded, the highest that can be loaded; 0: all.
  int versions = 1;
  std::set<std::int64_t> only;  // unless empty, no version but these is loaded
  // Called with a new version before it is used; rejects it by throwing. An Error of kCancelled is no failure
  // of the version: Refresh throws it. By default each signature is made ready, so that no call waits for
  // that, unless recorded requests have done it.
  std::function<void(const Model& model)> warm_up;
  // Called with the version that is used from now on, before the one that it replaces is released. Must not
  // throw, and must not call Refresh or Close.
  std::function<void(std::int64_t version, const Model& model)> on_switch;
  // Called after each change and each failure, in order and by one thread at a time: the watching thread, or
  // that of Start or Refresh, which throw what this throws. In the watching thread it must not throw. Must
  // not destroy the Watched.
  std::function<void(const VersionChange& change)> on_change;
  // Start throws if there is no version, or none that can be loaded. If false, it returns without one.
  bool required = true;
  // A version that was replaced lets in no more calls, and is closed when those that run have ended, whoever
  // has it still. By default it stays open for who has it.
  bool close_replaced = false;
  bool own_thread = true;  // false: a thread of the caller's calls Wait and Refresh in turn
};

struct WatchStatus {
  std::vector<std::int64_t> versions;  // loaded versions, ascending
  std::optional<std::int64_t> loading;
  std::vector<std::int64_t> draining;          // replaced, but still in use by a Model or Function
  std::map<std::int64_t, std::string> failed;  // with the reason; tried again when their files change
  std::string error;                           // why the directory could not be read at the last look
  std::int64_t switches = 0;                   // number of times the highest version was replaced
};

// Serves the newest versions of a model in TensorFlow Serving's layout, `directory/<integer>/`. A thread
// looks for new versions, loads them beside those in use, and puts them in place. A failed version only
// changes status(). Versions whose folders are gone are dropped, unless no others are left.
//
// Thread-safe. Get the Model, or a Function of it, for each request: holding one keeps its version loaded.
// The watching thread, while it exists, is the last to release a version. A version in use has a shared flock
// on its folder, so `savedmodel gc` on the same host keeps it. A version that does not match its manifest is
// rejected; one that a rollback withdrew is skipped, unless it is loaded. In a child forked after Start, all
// methods throw Error (kFailedPrecondition).
class SAVEDMODEL_API Watched {
 public:
  Watched() = default;  // empty, like a moved-from one: all else throws kFailedPrecondition
  bool valid() const noexcept { return watcher_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }
  // Loads the wanted versions, the highest first. Throws the Error of the highest version's load if none can
  // be loaded, Error (kNotFound) if there is none, and UsageError for invalid options.
  [[nodiscard]] static Watched Start(const std::string& directory, WatchOptions options = {});

  // The highest loaded version. Throws Error (kUnavailable) if there is none.
  [[nodiscard]] Model model() const;
  // Throws Error: kNotFound if there is no such version, kUnavailable if it could not be loaded.
  [[nodiscard]] Model model(std::int64_t version) const;
  std::int64_t version() const;  // the version of model()
  WatchStatus status() const;
  // Looks at the directory now, and returns when new versions are in place.
  void Refresh();
  // Waits until it is time to look, and frees versions that were replaced meanwhile. False after Stop.
  bool Wait();
  // Has the watching thread end, soon. Never waits for a load or a call.
  void Stop();
  // Stops, waits for running calls, and closes all versions. Then model() throws kFailedPrecondition, and
  // Refresh does nothing.
  void Close();

 private:
  explicit Watched(std::shared_ptr<internal::Watcher> watcher) : watcher_(std::move(watcher)) {}
  internal::Watcher& watcher() const;
  std::shared_ptr<internal::Watcher> watcher_;  // ends its thread, after a load in progress
};

}  // namespace savedmodel
