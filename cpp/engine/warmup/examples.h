// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "savedmodel/warmup.h"

namespace savedmodel::engine::warmup {

// Returns a serialized tf.train.Example.
std::string SerializeExample(const std::map<std::string, Feature>& features);

}  // namespace savedmodel::engine::warmup
