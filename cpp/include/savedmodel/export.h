// SPDX-License-Identifier: Apache-2.0
// The one export macro; everything that does not carry it is hidden.
#pragma once

#define SAVEDMODEL_API __attribute__((visibility("default")))
