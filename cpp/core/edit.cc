// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/edit.h"

#include "core/engine.h"
#include "core/runtime.h"
#include "core/with_errors.h"

namespace savedmodel {

using internal::Subject;
using internal::WithErrors;

Edit::Edit(const std::string& source)
    : engine_(WithErrors(Subject::Quoted(source), [&] { return internal::GetEngine().OpenEdit(source); })) {}
Edit::~Edit() = default;
Edit::Edit(Edit&&) noexcept = default;
Edit& Edit::operator=(Edit&&) noexcept = default;

internal::EngineEdit& Edit::engine() const {
  if (engine_ == nullptr) internal::RefuseEmpty("Edit");
  return *engine_;
}

void Edit::Apply(const EditOperation& operation) {
  WithErrors("an edit", [&] { engine().Apply(operation); });
}
std::map<std::string, Signature> Edit::signatures() const {
  return WithErrors("an edit", [&] { return engine().signatures(); });
}
std::vector<std::string> Edit::Save(const std::string& target, const EditOptions& options) {
  return WithErrors(Subject::Quoted(target), [&] { return engine().Save(target, options); });
}

}  // namespace savedmodel
