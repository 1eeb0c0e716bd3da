// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include "gil.h"
#include "savedmodel/model.h"

namespace savedmodel::python {

// A Model that is released without the GIL, because freeing a session takes time.
struct ModelHandle {
  explicit ModelHandle(Model opened) : model(std::move(opened)) {}
  ~ModelHandle() {
    const ReleaseGil release;
    model = Model();
  }
  ModelHandle(const ModelHandle&) = delete;
  ModelHandle& operator=(const ModelHandle&) = delete;

  Model model;
};

}  // namespace savedmodel::python
