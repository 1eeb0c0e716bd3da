// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Exit of the process while models run: stops the runs before TensorFlow is unloaded.
#pragma once

namespace savedmodel::internal {

struct ModelState;

// Registers models from construction to destruction.
void Enlist(ModelState* model);
void Strike(ModelState* model);

// Makes exit() stop runs before it destroys the static variables made so far. A return from main does the
// same, in another way.
void StopRunsAtExit();

// Throws if the process exits.
void CheckNotExiting();

// Called after a failed run. If the process exits, it keeps the run from returning to its caller, whose
// static variables may be gone. It returns in the exiting thread, and after some seconds in others, as the
// exiting thread waits for them.
void HoldAtExit();

}  // namespace savedmodel::internal
