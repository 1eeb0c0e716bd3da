// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The state that Watched values share: the thread, the loaded versions, and the replaced ones.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/versions.h"
#include "savedmodel/watched.h"

namespace savedmodel::internal {

class Watcher {
 public:
  // Looks for versions once, then starts the thread. Throws like Watched::Start.
  static std::shared_ptr<Watcher> Start(const std::string& directory, WatchOptions options);

  Model model() const;
  Model model(std::int64_t version) const;
  std::int64_t version() const;
  WatchStatus status() const;
  void Look();
  bool Wait();
  void Stop();
  void Close();

 private:
  using Found = std::map<std::int64_t, std::string>;  // folder by version
  struct Version {
    std::int64_t number;
    std::shared_ptr<const void> lock;  // outlives the model
    std::set<std::int64_t> withdraws;  // listed in its manifest
    Model model;
  };
  struct Failure {
    Stamp stamp;  // empty if the files can't be listed; then each look tries again
    std::set<std::int64_t> withdraws;
    std::exception_ptr error;
    std::string text;
  };

  Watcher(std::string directory, WatchOptions options);
  ~Watcher();
  // Throws kFailedPrecondition in a forked child, where the mutexes may stay locked forever.
  void CheckNotForked() const;
  void Run();
  void CheckFirst() const;
  const Version& Highest() const;
  // These require looking_ to be locked:
  void LookForVersions();
  // Returns false if the version can't be used now.
  bool Use(const Found& found, std::int64_t number);
  // Returns nothing if the version is being copied or removed.
  std::optional<Version> Load(const std::string& folder, std::int64_t number, Failure* failure);
  Model LoadModel(const std::string& folder) const;
  // Adds a loaded version. Also replaces higher versions whose folders are gone.
  void PutInPlace(Version version, const Found& found);
  // Releases the loaded versions for which `stays` is false. It must be true for at least one.
  template <typename Stays>
  void Drain(const Stays& stays);
  std::set<std::int64_t> WithdrawnBy(std::int64_t number) const;
  // These do not:
  void CloseUnused();
  void Report();

  const std::string directory_;
  const WatchOptions options_;
  const std::uint32_t fork_generation_;
  std::mutex looking_;

  mutable std::mutex mutex_;  // guards the members below, except thread_
  std::condition_variable wake_;
  bool stop_ = false;
  bool closed_ = false;
  std::map<std::int64_t, Version> loaded_;
  std::optional<std::int64_t> serving_;  // the highest loaded version, once on_switch was called
  std::vector<Version> draining_;
  std::multiset<std::int64_t> closing_;
  std::deque<VersionChange> changes_;  // not reported yet
  bool reporting_ = false;
  std::map<std::int64_t, Failure> failed_;
  std::optional<std::int64_t> loading_;
  std::string error_;
  std::int64_t switches_ = 0;

  std::thread thread_;
};

}  // namespace savedmodel::internal
