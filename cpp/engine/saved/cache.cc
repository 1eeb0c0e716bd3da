// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_format.h"
#include "engine/base/digest.h"
#include "engine/base/quote.h"
#include "savedmodel/error.h"

namespace savedmodel::engine {
namespace fs = std::filesystem;
namespace {

// Folders that are being written or removed begin so.
constexpr char kHidden = '.';

std::string Describe(const Origin& origin) {
  std::string text;
  for (const auto& [topic, value] : origin) text += topic + '\0' + value + '\0';
  return text;
}

std::string Describe(const FunctionGraph& function) {
  std::string text;
  for (std::size_t i = 0; i < function.feeds.size(); ++i) {
    text += function.feeds[i] + '\0' + std::to_string(function.feed_types[i]) + '\0';
  }
  for (const std::string& fetch : function.fetches) text += '>' + fetch + '\0';
  return text;
}

std::string Unique() {
  return absl::StrFormat("%c%d-%d", kHidden, getpid(),
                         std::chrono::steady_clock::now().time_since_epoch().count());
}

[[noreturn]] void Refuse(const std::string& directory, const std::string& why) {
  throw Error(Code::kPermissionDenied, "the cache " + Quote(directory) + " can't be used: " + why);
}

// Its folders are run as graphs: nobody else may have put them there.
void CheckOwner(const std::string& directory) {
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    Refuse(directory, std::generic_category().message(errno));
  }
  if (!S_ISDIR(info.st_mode)) Refuse(directory, "it is not a directory");
  if (info.st_uid != geteuid()) Refuse(directory, "it belongs to another user");
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) Refuse(directory, "other users may write to it");
}

void MakeDirectory(const std::string& directory) {
  std::error_code failed;
  if (fs::create_directories(directory, failed)) fs::permissions(directory, fs::perms::owner_all, failed);
  if (failed) Refuse(directory, failed.message());
}

std::int64_t BytesOf(const fs::path& folder) {
  std::error_code failed;
  std::int64_t bytes = 0;
  for (fs::recursive_directory_iterator file(folder, failed), end; !failed && file != end;
       file.increment(failed)) {
    std::error_code vanished;
    const auto size = file->is_regular_file(vanished) ? file->file_size(vanished) : 0;
    if (!vanished) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

// Readers that have mapped its files keep them.
void Remove(const fs::path& folder) {
  std::error_code failed;
  const fs::path hidden = folder.parent_path() / Unique();
  fs::rename(folder, hidden, failed);
  if (!failed) fs::remove_all(hidden, failed);
}

// Links lead to the entries of equal functions.
bool IsLink(const fs::path& path) {
  std::error_code failed;
  return fs::is_symlink(path, failed);
}

std::vector<fs::path> FoldersOf(const fs::path& directory, bool hidden = false) {
  std::vector<fs::path> folders;
  std::error_code failed;
  for (fs::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code vanished;
    if ((entry->path().filename().string()[0] == kHidden) == hidden && entry->is_directory(vanished) &&
        !IsLink(entry->path()))
      folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

// Removes what a process left that ended in the middle of a write or a removal, a day ago or more.
void RemoveLeftovers(const fs::path& source) {
  std::error_code failed;
  for (const fs::path& folder : FoldersOf(source, /*hidden=*/true)) {
    const fs::file_time_type written = fs::last_write_time(folder, failed);
    if (!failed && fs::file_time_type::clock::now() - written > std::chrono::hours(24)) {
      fs::remove_all(folder, failed);
    }
  }
  for (fs::directory_iterator entry(source, failed), end; !failed && entry != end; entry.increment(failed)) {
    std::error_code vanished;
    if (IsLink(entry->path()) && !fs::exists(entry->path(), vanished)) fs::remove(entry->path(), vanished);
  }
  fs::remove(source, failed);  // only if it is empty
}

void Bound(const std::string& directory, const fs::path& fresh, std::int64_t limit) {
  struct Entry {
    fs::file_time_type used;
    fs::path folder;
    std::int64_t bytes;
  };
  std::vector<Entry> entries;
  std::int64_t total = 0;
  RemoveLeftovers(directory);
  for (const fs::path& source : FoldersOf(directory)) {
    RemoveLeftovers(source);
    for (const fs::path& folder : FoldersOf(source)) {
      std::error_code vanished;
      const fs::file_time_type used = fs::last_write_time(folder, vanished);
      if (vanished) continue;
      entries.push_back({used, folder, BytesOf(folder)});
      total += entries.back().bytes;
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= limit) return;
    if (entry.folder == fresh) continue;
    Remove(entry.folder);
    total -= entry.bytes;
  }
}

}  // namespace

OptimizedCache::OptimizedCache(std::string directory, Origin origin)
    : directory_(std::move(directory)),
      origin_(std::move(origin)),
      folder_((fs::path(directory_) / Digest(Describe(origin_))).string()) {
  MakeDirectory(directory_);
  CheckOwner(directory_);
}

bool OptimizedCache::HasAny() const { return !FoldersOf(folder_).empty(); }

std::unique_ptr<const OptimizedFiles> OptimizedCache::Read(const FunctionGraph& function) const {
  std::error_code failed;
  const fs::path folder = fs::canonical(fs::path(folder_) / Digest(Describe(function)), failed);
  if (failed) return nullptr;
  CheckOwner(folder_);
  std::string why_not;
  auto files = OptimizedFiles::Read(folder.string(), origin_, &why_not);
  if (files == nullptr) {
    LOG(WARNING) << "the cache's " << folder << " is removed: " << why_not;
    Remove(folder);
    return nullptr;
  }
  fs::last_write_time(folder, fs::file_time_type::clock::now(), failed);  // it was used
  return files;
}

void OptimizedCache::Write(const OptimizedFunction& function, const std::vector<FunctionGraph>& equal,
                           const ConstantPool& pool, std::int64_t limit) const {
  const fs::path folder = fs::path(folder_) / Digest(Describe(function.function));
  const fs::path fresh = fs::path(folder_) / Unique();
  MakeDirectory(folder_);
  CheckOwner(folder_);
  OptimizedWriter writer;
  writer.Add(function, pool);
  for (const FunctionGraph& other : equal) {
    OptimizedFunction copy = function;
    copy.function = other;
    writer.Add(std::move(copy), pool);
  }
  std::error_code failed;
  try {
    writer.Write(fresh.string(), origin_);
  } catch (...) {
    fs::remove_all(fresh, failed);
    throw;
  }
  if (IsLink(folder) && !fs::exists(folder, failed)) fs::remove(folder, failed);
  fs::rename(fresh, folder, failed);
  if (failed) {  // another process was faster
    fs::remove_all(fresh, failed);
    return;
  }
  for (const FunctionGraph& other : equal) {
    const fs::path link = fs::path(folder_) / Digest(Describe(other));
    if (IsLink(link) && !fs::exists(link, failed)) fs::remove(link, failed);
    fs::create_directory_symlink(folder.filename(), link, failed);  // a failure costs an entry of its own
  }
  Bound(directory_, folder, limit);
}

}  // namespace savedmodel::engine
