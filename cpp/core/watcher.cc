// SPDX-License-Identifier: Apache-2.0
#include "core/watcher.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "core/model_state.h"
#include "core/runtime.h"

namespace savedmodel::internal {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// How soon a replaced version is freed after its last call.
constexpr Seconds kDrainPoll(0.02);
// A clock of nanoseconds holds 292 years.
constexpr Seconds kLongestPoll(1e9);

std::string TextOf(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an exception of a type that is not known";
  }
}

template <typename Map>
std::vector<std::int64_t> Numbers(const Map& versions) {
  std::vector<std::int64_t> numbers;
  for (const auto& [number, version] : versions) numbers.push_back(number);
  return numbers;
}

}  // namespace

Watcher::Watcher(std::string directory, WatchOptions options)
    : directory_(std::move(directory)), options_(std::move(options)), fork_generation_(ForkGeneration()) {}

std::shared_ptr<Watcher> Watcher::Start(const std::string& directory, WatchOptions options) {
  CountForks();
  // A forked child has no such thread to join: leaked there.
  std::shared_ptr<Watcher> watcher(new Watcher(directory, std::move(options)), [](Watcher* made) {
    if (made->fork_generation_ == ForkGeneration()) delete made;
  });
  watcher->Look();
  if (watcher->options_.required) watcher->CheckFirst();
  try {
    watcher->thread_ = std::thread([watcher = watcher.get()] { watcher->Run(); });
  } catch (const std::system_error& error) {
    throw Error(Code::kResourceExhausted, std::string("no thread to watch versions: ") + error.what());
  }
  return watcher;
}

Watcher::~Watcher() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto poll =
      std::chrono::duration_cast<Clock::duration>(std::min<Seconds>(options_.poll, kLongestPoll));
  auto next = Clock::now() + poll;
  while (!stop_) {
    auto until = next;
    if (!draining_.empty()) {
      until = std::min(until, Clock::now() + std::chrono::duration_cast<Clock::duration>(kDrainPoll));
    }
    wake_.wait_until(lock, until);
    if (stop_) return;
    lock.unlock();
    const bool now = Clock::now() >= next;
    if (now) next = Clock::now() + poll;
    bool out_of_memory = false;
    try {
      CloseUnused();
      if (now) Look();
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    } catch (const OutOfMemory&) {
      out_of_memory = true;
    }
    lock.lock();
    if (out_of_memory) error_ = "out of memory";  // until the next look; so short a text takes none
  }
}

void Watcher::CheckFirst() const {
  if (!loaded_.empty()) return;
  if (!failed_.empty()) std::rethrow_exception(failed_.rbegin()->second.error);
  throw Error(Code::kNotFound, error_.empty() ? "'" + directory_ + "' has no versions" : error_);
}

void Watcher::CheckNotForked() const {
  if (fork_generation_ == ForkGeneration()) return;
  throw Error(Code::kFailedPrecondition, "this process was forked, and the thread that watches '" +
                                             directory_ +
                                             "' did not come along: watch in the child only, after the fork");
}

void Watcher::Look() {
  CheckNotForked();
  const std::lock_guard<std::mutex> looking(looking_);
  Found found;
  std::string error;
  try {
    found = ListVersions(directory_);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& listing) {
    error = listing.what();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    error_ = error;
    if (!error_.empty()) return;  // what is loaded goes on
    for (auto one = failed_.begin(); one != failed_.end();) {
      one = found.count(one->first) == 0 ? failed_.erase(one) : std::next(one);
    }
  }
  std::vector<std::int64_t> wanted;
  for (auto one = found.rbegin(); one != found.rend(); ++one) {
    if (options_.versions > 0 && wanted.size() == static_cast<std::size_t>(options_.versions)) break;
    if (Use(found, one->first)) wanted.push_back(one->first);
  }
  if (!wanted.empty()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Drain([&](auto number) { return std::find(wanted.begin(), wanted.end(), number) != wanted.end(); });
    wake_.notify_all();  // there is something to free
  }
  CloseUnused();
}

bool Watcher::Use(const Found& found, std::int64_t number) {
  const std::string& folder = found.at(number);
  const auto started = Clock::now();
  VersionChange change;
  change.version = number;
  Stamp stamp;
  try {
    std::shared_ptr<const void> hold;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (loaded_.count(number) > 0) return true;
      if (stop_) return false;
      if (!loaded_.empty()) change.previous = Highest().number;
    }
    hold = HoldVersion(folder);
    if (hold == nullptr) return false;
    stamp = StampOf(folder);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto failed = failed_.find(number);
      if (failed != failed_.end() && failed->second.stamp == stamp) return false;
      loading_ = number;
    }
    Model model = Load(folder);
    if (StampOf(folder) != stamp) {  // it is being copied still: next time
      const std::lock_guard<std::mutex> lock(mutex_);
      loading_.reset();
      return false;
    }
    PutInPlace({number, std::move(hold), std::move(model)}, found);
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    change.error = TextOf(error);
    const std::lock_guard<std::mutex> lock(mutex_);
    loading_.reset();
    Failure& failure = failed_[number];
    const bool known = failure.stamp == stamp && failure.text == change.error;
    failure = {std::move(stamp), error, change.error};
    if (known) return false;
  }
  change.seconds = Seconds(Clock::now() - started).count();
  if (options_.on_change) options_.on_change(change);
  return change.error.empty();
}

Model Watcher::Load(const std::string& folder) const {
  Model model = Model::Load(folder, options_.load);
  if (options_.warm_up) {
    options_.warm_up(model);
  } else {
    (void)model.Optimization();
  }
  return model;
}

void Watcher::PutInPlace(Version version, const Found& found) {
  const std::lock_guard<std::mutex> lock(mutex_);
  loading_.reset();
  failed_.erase(version.number);
  const std::int64_t added = version.number;
  if (!loaded_.empty() && Highest().number < added) ++switches_;
  loaded_.emplace(added, std::move(version));
  Drain([&](auto number) { return number <= added || found.count(number) > 0; });
}

template <typename Stays>
void Watcher::Drain(const Stays& stays) {
  const std::int64_t highest = Highest().number;
  for (auto one = loaded_.begin(); one != loaded_.end();) {
    const bool kept = stays(one->first);
    if (!kept) draining_.push_back(std::move(one->second));
    one = kept ? std::next(one) : loaded_.erase(one);
  }
  if (Highest().number < highest) ++switches_;
}

void Watcher::CloseUnused() {
  std::vector<Version> unused;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto used = std::partition(draining_.begin(), draining_.end(),
                                   [](const Version& one) { return one.model.state_.use_count() > 1; });
  std::move(used, draining_.end(), std::back_inserter(unused));
  draining_.erase(used, draining_.end());
}

const Watcher::Version& Watcher::Highest() const { return loaded_.rbegin()->second; }

Model Watcher::model() const {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!loaded_.empty()) return Highest().model;
  const std::string why = failed_.empty() ? error_ : failed_.rbegin()->second.text;
  throw Error(Code::kUnavailable,
              "no version of '" + directory_ + "' is loaded" + (why.empty() ? "" : ": " + why));
}

Model Watcher::model(std::int64_t version) const {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = loaded_.find(version);
  if (found != loaded_.end()) return found->second.model;
  const auto failed = failed_.find(version);
  if (failed != failed_.end()) {
    throw Error(Code::kUnavailable, "version " + std::to_string(version) + " of '" + directory_ +
                                        "' could not be loaded: " + failed->second.text);
  }
  std::string known;
  for (const auto& [number, one] : loaded_) known += (known.empty() ? "" : ", ") + std::to_string(number);
  throw Error(Code::kNotFound, "there is no version " + std::to_string(version) + " of '" + directory_ +
                                   "'; those that are loaded: " + (known.empty() ? "none" : known));
}

std::int64_t Watcher::version() const {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (loaded_.empty()) throw Error(Code::kUnavailable, "no version of '" + directory_ + "' is loaded");
  return Highest().number;
}

WatchStatus Watcher::status() const {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  WatchStatus status;
  status.versions = Numbers(loaded_);
  status.loading = loading_;
  for (const Version& one : draining_) status.draining.push_back(one.number);
  for (const auto& [number, failure] : failed_) status.failed[number] = failure.text;
  status.error = error_;
  status.switches = switches_;
  return status;
}

}  // namespace savedmodel::internal
