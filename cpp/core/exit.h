// SPDX-License-Identifier: Apache-2.0
// INTERNAL. The process exits while models run: they are stopped before TensorFlow is torn down.
#pragma once

namespace savedmodel::internal {

struct ModelState;

// Models, from their making to their end.
void Enlist(ModelState* model);
void Strike(ModelState* model);

// exit() stops runs before it destroys what static variables were made until now, in another way than by a
// return from main the same.
void StopRunsAtExit();

// Throws once the process exits.
void CheckNotExiting();

// For a run that has ended in an error: once the process exits, the caller's code is not to see it, for it
// would go on among static variables that are gone. Returns in the thread that exits, and after some seconds
// elsewhere: whoever exits waits for the caller then.
void HoldAtExit();

}  // namespace savedmodel::internal
