// SPDX-License-Identifier: Apache-2.0
#include "core/watcher.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include "core/manifest.h"
#include "core/model_state.h"
#include "core/runtime.h"

namespace savedmodel::internal {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// The interval of the checks whether a replaced version is still in use.
constexpr Seconds kDrainPoll(0.02);
// A 64-bit clock in nanoseconds overflows after 292 years.
constexpr Seconds kLongestPoll(1e9);

std::string TextOf(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

bool IsCancelled(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    return known.code() == Code::kCancelled;
  } catch (...) {
    return false;
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
  // A forked child has no such thread to join, so it leaks the watcher.
  std::shared_ptr<Watcher> watcher(new Watcher(directory, std::move(options)), [](Watcher* made) {
    if (made->fork_generation_ == ForkGeneration()) delete made;
  });
  watcher->Look();
  if (watcher->options_.required) watcher->CheckFirst();
  if (!watcher->options_.own_thread) return watcher;
  try {
    watcher->thread_ = std::thread([watcher = watcher.get()] { watcher->Run(); });
  } catch (const std::system_error& error) {
    throw Error(Code::kResourceExhausted,
                std::string("can't start the thread that watches versions: ") + error.what());
  }
  return watcher;
}

Watcher::~Watcher() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void Watcher::Stop() {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  stop_ = true;
  wake_.notify_all();
}

bool Watcher::Wait() {
  CheckNotForked();
  const auto poll =
      std::chrono::duration_cast<Clock::duration>(std::min<Seconds>(options_.poll, kLongestPoll));
  const auto next = Clock::now() + poll;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    auto until = next;
    if (!draining_.empty()) {
      until = std::min(until, Clock::now() + std::chrono::duration_cast<Clock::duration>(kDrainPoll));
    }
    wake_.wait_until(lock, until);
    if (stop_) break;
    lock.unlock();
    CloseUnused();
    if (Clock::now() >= next) return true;
    lock.lock();
  }
  return false;
}

void Watcher::Run() {
  const auto or_out_of_memory = [this](const auto& call) {
    try {
      return call();
    } catch (const std::bad_alloc&) {
    } catch (const OutOfMemory&) {
    } catch (const Error&) {  // a load was cancelled; the next look tries again
      return true;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    error_ = "out of memory";  // until the next look; a text this short allocates nothing
    return true;
  };
  while (or_out_of_memory([&] { return Wait(); })) {
    or_out_of_memory([&] {
      Look();
      return true;
    });
  }
}

void Watcher::CheckFirst() const {
  if (!loaded_.empty()) return;
  if (failed_.empty()) {
    throw Error(Code::kNotFound, error_.empty() ? "'" + directory_ + "' has no versions" : error_);
  }
  try {
    std::rethrow_exception(failed_.rbegin()->second.error);
  } catch (const std::system_error& error) {  // from reading its files
    throw Error(Code::kUnavailable, error.what());
  }
}

void Watcher::CheckNotForked() const {
  if (fork_generation_ == ForkGeneration()) return;
  throw Error(Code::kFailedPrecondition,
              "this process was forked, and the thread that watches '" + directory_ +
                  "' does not run in the child: watch in the child only, after the fork");
}

void Watcher::Look() {
  CheckNotForked();
  {
    const std::lock_guard<std::mutex> looking(looking_);
    if (!closed_) LookForVersions();
  }
  Report();
}

void Watcher::LookForVersions() {
  Found found;
  std::string error;
  try {
    found = ListVersions(directory_);
    for (auto one = found.begin(); !options_.only.empty() && one != found.end();) {
      one = options_.only.count(one->first) == 0 ? found.erase(one) : std::next(one);
    }
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& listing) {
    error = listing.what();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    error_ = error;
    if (!error_.empty()) return;  // the loaded versions stay
    for (auto one = failed_.begin(); one != failed_.end();) {
      one = found.count(one->first) == 0 ? failed_.erase(one) : std::next(one);
    }
  }
  std::vector<std::int64_t> wanted;
  std::set<std::int64_t> withdrawn;
  for (auto one = found.rbegin(); one != found.rend(); ++one) {
    if (options_.versions > 0 && wanted.size() == static_cast<std::size_t>(options_.versions)) break;
    const std::int64_t number = one->first;
    const bool passed_over = withdrawn.count(number) > 0;
    if (passed_over && loaded_.count(number) == 0) continue;
    if (Use(found, number)) wanted.push_back(number);
    if (!passed_over) withdrawn.merge(WithdrawnBy(number));
  }
  if (!wanted.empty()) {
    Drain([&](auto number) { return std::find(wanted.begin(), wanted.end(), number) != wanted.end(); });
  }
  CloseUnused();
}

bool Watcher::Use(const Found& found, std::int64_t number) {
  const auto started = Clock::now();
  VersionChange change;
  change.version = number;
  Failure failure;
  const auto not_loading = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    loading_.reset();
  };
  try {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (loaded_.count(number) > 0) return true;
      if (stop_) return false;
      if (!loaded_.empty()) change.previous = Highest().number;
    }
    std::optional<Version> version = Load(found.at(number), number, &failure);
    not_loading();
    if (!version) return false;
    PutInPlace(std::move(*version), found);
  } catch (...) {
    not_loading();
    failure.error = std::current_exception();
    failure.text = TextOf(failure.error);
    if (IsCancelled(failure.error)) throw;
    change.error = failure.text;
    change.exception = failure.error;
    const std::lock_guard<std::mutex> lock(mutex_);
    Failure& before = failed_[number];
    const bool known = before.stamp == failure.stamp && before.text == failure.text;
    before = std::move(failure);
    if (known) return false;
  }
  change.seconds = Seconds(Clock::now() - started).count();
  const bool used = change.error.empty();
  const std::lock_guard<std::mutex> lock(mutex_);
  changes_.push_back(std::move(change));
  return used;
}

std::optional<Watcher::Version> Watcher::Load(const std::string& folder, std::int64_t number,
                                              Failure* failure) {
  if (!IsSavedModel(folder)) return std::nullopt;
  Version version{number, HoldVersion(folder), {}, {}};
  if (version.lock == nullptr) return std::nullopt;
  failure->stamp = StampOf(folder);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto failed = failed_.find(number);
    if (failed != failed_.end() && failed->second.stamp == failure->stamp) return std::nullopt;
    loading_ = number;
  }
  if (const std::optional<Manifest> manifest = ReadManifest(folder)) {
    failure->withdraws = version.withdraws = manifest->withdraws;
    CheckComplete(folder, *manifest, failure->stamp);
  }
  version.model = LoadModel(folder);
  if (StampOf(folder) == failure->stamp) return version;
  if (options_.close_replaced) version.model.Close();
  return std::nullopt;  // it is still being copied; the next look tries again
}

Model Watcher::LoadModel(const std::string& folder) const {
  Model model = Model::Load(folder, options_.load);
  if (options_.warm_up) {
    options_.warm_up(model);
  } else if (model.warmed_up() == 0) {
    (void)model.Prepare();
  }
  return model;
}

void Watcher::PutInPlace(Version version, const Found& found) {
  const std::int64_t added = version.number;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    failed_.erase(added);
    loaded_.emplace(added, std::move(version));
  }
  Drain([&](auto number) { return number <= added || found.count(number) > 0; });
}

template <typename Stays>
void Watcher::Drain(const Stays& stays) {
  std::int64_t highest = 0;
  for (const auto& [number, version] : loaded_) {
    if (stays(number)) highest = number;
  }
  if (serving_ != highest && options_.on_switch) options_.on_switch(highest, loaded_.at(highest).model);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (serving_ && serving_ != highest) ++switches_;
  serving_ = highest;
  for (auto one = loaded_.begin(); one != loaded_.end();) {
    const bool kept = stays(one->first);
    if (!kept) {
      if (options_.close_replaced) one->second.model.state_->gate.Shut();
      draining_.push_back(std::move(one->second));
    }
    one = kept ? std::next(one) : loaded_.erase(one);
  }
  wake_.notify_all();  // there may be versions to free
}

std::set<std::int64_t> Watcher::WithdrawnBy(std::int64_t number) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto found = loaded_.find(number); found != loaded_.end()) return found->second.withdraws;
  const auto failed = failed_.find(number);
  return failed == failed_.end() ? std::set<std::int64_t>() : failed->second.withdraws;
}

void Watcher::CloseUnused() {
  std::vector<Version> unused;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto is_used = [this](Version& one) {
      return options_.close_replaced ? !one.model.state_->gate.WaitFor(0) : one.model.state_.use_count() > 1;
    };
    const auto used = std::stable_partition(draining_.begin(), draining_.end(), is_used);
    for (auto one = used; one != draining_.end(); ++one) closing_.insert(one->number);
    std::move(used, draining_.end(), std::back_inserter(unused));
    draining_.erase(used, draining_.end());
  }
  while (!unused.empty()) {
    const std::int64_t number = unused.back().number;
    if (options_.close_replaced) unused.back().model.Close();
    unused.pop_back();
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_.erase(closing_.find(number));
  }
}

void Watcher::Report() {
  // One thread at a time reports all changes, also those of other threads. This keeps them in order.
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changes_.empty() && !reporting_) {
    const VersionChange change = std::move(changes_.front());
    changes_.pop_front();
    reporting_ = true;
    lock.unlock();
    struct Done {
      Watcher* watcher;
      std::unique_lock<std::mutex>* lock;
      ~Done() {
        lock->lock();
        watcher->reporting_ = false;
      }
    } const done{this, &lock};
    if (options_.on_change) options_.on_change(change);
  }
}

void Watcher::Close() {
  Stop();
  const std::lock_guard<std::mutex> looking(looking_);
  std::vector<Version> open;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    for (auto& [number, version] : loaded_) open.push_back(std::move(version));
    loaded_.clear();
    std::move(draining_.begin(), draining_.end(), std::back_inserter(open));
    draining_.clear();
  }
  for (Version& version : open) version.model.Close();
}

const Watcher::Version& Watcher::Highest() const { return loaded_.rbegin()->second; }

Model Watcher::model() const {
  CheckNotForked();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) throw Error(Code::kFailedPrecondition, "the watched model '" + directory_ + "' is closed");
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
  throw Error(Code::kNotFound, "version " + std::to_string(version) + " of '" + directory_ +
                                   "' is not loaded; loaded versions: " + (known.empty() ? "none" : known));
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
  status.draining.assign(closing_.begin(), closing_.end());
  for (const Version& one : draining_) status.draining.push_back(one.number);
  for (const auto& [number, failure] : failed_) status.failed[number] = failure.text;
  status.error = error_;
  status.switches = switches_;
  return status;
}

}  // namespace savedmodel::internal
