// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/cancellation.h"

#include <utility>

#include "core/with_errors.h"

namespace savedmodel {

Cancellation::Cancellation() = default;
Cancellation::~Cancellation() = default;

void Cancellation::Cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
  for (const auto& [id, action] : actions_) action();
  actions_.clear();
}

std::uint64_t Cancellation::OnCancel(std::function<void()> action) {
  return internal::WithErrors("OnCancel", [&] {
    if (!action) throw UsageError(UsageError::Kind::kArguments, "OnCancel needs an action");
    const std::lock_guard<std::mutex> lock(mutex_);
    ++last_id_;
    if (cancelled()) {
      action();
    } else {
      actions_.emplace(last_id_, std::move(action));
    }
    return last_id_;
  });
}

void Cancellation::Forget(std::uint64_t id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  actions_.erase(id);
}

}  // namespace savedmodel
