// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

// A version was put in place, or could not be.
struct VersionChange {
  std::int64_t version = 0;
  std::optional<std::int64_t> previous;  // the highest before; it still is if there is an error
  std::string error;                     // why it could not be loaded or warmed up; else empty
  std::exception_ptr exception;          // what was thrown then; else null
  double seconds = 0;                    // that the load and the warm-up took
};

struct SAVEDMODEL_API WatchOptions {
  WatchOptions();    // with load.warmup
  LoadOptions load;  // with `warmup`, a version that does not answer its recorded requests is refused
  Seconds poll = 1;  // between two looks at the directory
  // How many of the highest versions that can be loaded are kept loaded; 0: all.
  int versions = 1;
  // Called with a new version before others get it; refuses it by throwing. An Error of kCancelled is no
  // failure of the version: Refresh throws it. By default each signature is made ready, so that no call waits
  // for that, unless recorded requests have done it.
  std::function<void(const Model& model)> warm_up;
  // Called with the version that others get from now on, before the one that it replaces is let go of. Must
  // not throw, nor call Refresh or Close.
  std::function<void(std::int64_t version, const Model& model)> on_switch;
  // Called after each change and each failure, in their order and by one thread at a time: the watching one,
  // or that of Start or Refresh, which throw what this throws; in the watching one it must not throw. Must
  // not destroy the Watched.
  std::function<void(const VersionChange& change)> on_change;
  // Start throws if there is no version, or none that can be loaded. Else the first one is waited for.
  bool required = true;
  // A version that was replaced lets in no more calls, and is closed when those that run have ended, whoever
  // has it still. By default it stays open for who has it.
  bool close_replaced = false;
  bool own_thread = true;  // false: a thread of the caller's calls Wait and Refresh in turn
};

struct WatchStatus {
  std::vector<std::int64_t> versions;  // that are loaded, ascending
  std::optional<std::int64_t> loading;
  std::vector<std::int64_t> draining;          // replaced, but somebody has a Model or Function of them still
  std::map<std::int64_t, std::string> failed;  // and why; tried again when their files change
  std::string error;                           // why the directory could not be read at the last look
  std::int64_t switches = 0;                   // how often the highest version was replaced
};

// The newest versions of a model in TensorFlow Serving's layout, `directory/<integer>/`. A thread looks for
// new ones, loads them beside those in use, and puts them in place; one that fails changes nothing but
// status(). Versions whose folders are gone are dropped, unless they are all that is left.
//
// Thread-safe. Take the Model, or a Function of it, for each request: who holds one keeps that version
// loaded, and the last to let go is the watching thread, as long as there is one. A version in use has a
// shared flock on its folder: `savedmodel gc` on the same host leaves it. One that is not what was published,
// by its manifest, is refused, and one that a rollback withdrew is passed over, unless it is loaded. In a
// child that was forked after Start all of it throws Error (kFailedPrecondition).
class SAVEDMODEL_API Watched {
 public:
  Watched() = default;  // holds nothing, as one that was moved from: all else throws kFailedPrecondition
  bool valid() const noexcept { return watcher_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }
  // Loads the wanted versions, the highest first. Throws Error: what the load of the highest throws if none
  // can be loaded, kNotFound if there is none; UsageError for options that can't be.
  [[nodiscard]] static Watched Start(const std::string& directory, WatchOptions options = {});

  // The highest version that is loaded. Throws Error (kUnavailable) while there is none.
  [[nodiscard]] Model model() const;
  // Throws Error: kNotFound if there is no such version, kUnavailable if it could not be loaded.
  [[nodiscard]] Model model(std::int64_t version) const;
  std::int64_t version() const;  // that of model()
  WatchStatus status() const;
  // Looks now, and returns when what is new is in place.
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
  std::shared_ptr<internal::Watcher> watcher_;  // ends its thread, after a load that is going on
};

}  // namespace savedmodel
