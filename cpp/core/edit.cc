// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/edit.h"

#include "core/engine.h"
#include "core/runtime.h"

namespace savedmodel {

Edit::Edit(const std::string& source) : engine_(internal::GetEngine().OpenEdit(source)) {}
Edit::~Edit() = default;
Edit::Edit(Edit&&) noexcept = default;
Edit& Edit::operator=(Edit&&) noexcept = default;

void Edit::Apply(const EditOperation& operation) { engine_->Apply(operation); }
std::map<std::string, Signature> Edit::signatures() const { return engine_->signatures(); }
std::vector<std::string> Edit::Save(const std::string& target, const EditOptions& options) {
  return engine_->Save(target, options);
}

}  // namespace savedmodel
