// SPDX-License-Identifier: Apache-2.0
// The one export macro; symbols without it are hidden.
#pragma once

#define SAVEDMODEL_API __attribute__((visibility("default")))
