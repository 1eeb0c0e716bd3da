// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/constant_cache.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// An address means the same buffer as long as an entry with it is alive, for that holds the buffer.
using Key = std::tuple<const void*, std::vector<const void*>, ConstantLayout>;

struct Entry : CachedConstants {
  std::once_flag once;
};

struct Cache {
  std::mutex mutex;
  std::map<Key, std::weak_ptr<Entry>> entries;
};

// Of the process, since models have no buffers in common. Never destroyed.
Cache& TheCache() {
  static auto* const cache = new Cache;
  return *cache;
}

std::shared_ptr<Entry> Find(const Key& key) {
  Cache& cache = TheCache();
  const std::lock_guard<std::mutex> lock(cache.mutex);
  std::weak_ptr<Entry>& known = cache.entries[key];
  std::shared_ptr<Entry> entry = known.lock();
  if (entry != nullptr) return entry;
  entry = std::shared_ptr<Entry>(new Entry, [key](Entry* gone) {
    {
      Cache& whole = TheCache();
      const std::lock_guard<std::mutex> guard(whole.mutex);
      const auto found = whole.entries.find(key);
      // Somebody may have begun another since.
      if (found != whole.entries.end() && found->second.expired()) whole.entries.erase(found);
    }
    delete gone;
  });
  known = entry;
  return entry;
}

}  // namespace

std::shared_ptr<const CachedConstants> ShareCached(const std::vector<tf::Tensor>& from, const void* type,
                                                   const ConstantLayout& layout,
                                                   const std::function<MadeConstants()>& make) {
  std::vector<const void*> buffers;
  for (const tf::Tensor& tensor : from) buffers.push_back(tensor.data());
  std::shared_ptr<Entry> entry = Find({type, std::move(buffers), layout});
  std::call_once(entry->once, [&] {
    MadeConstants made = make();
    entry->value = std::move(made.value);
    entry->bytes = made.bytes;
    entry->from = from;
  });
  return entry;
}

std::size_t CountCachedConstants() {
  Cache& cache = TheCache();
  const std::lock_guard<std::mutex> lock(cache.mutex);
  return cache.entries.size();
}

std::size_t BytesOfCachedConstants(const std::set<const void*>& from) {
  Cache& cache = TheCache();
  std::vector<std::shared_ptr<Entry>> held;  // their ends lock the mutex
  const std::lock_guard<std::mutex> lock(cache.mutex);
  std::size_t bytes = 0;
  for (const auto& [key, known] : cache.entries) {
    const std::vector<const void*>& buffers = std::get<1>(key);
    const bool is_of = std::any_of(buffers.begin(), buffers.end(),
                                   [&](const void* buffer) { return from.count(buffer) > 0; });
    if (!is_of) continue;
    if (std::shared_ptr<Entry> entry = known.lock()) bytes += (held.emplace_back(std::move(entry)))->bytes;
  }
  return bytes;
}

}  // namespace savedmodel::engine
