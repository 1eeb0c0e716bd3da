// SPDX-License-Identifier: Apache-2.0
// libsavedmodel_scope.so: only its dependencies, in this order: libsavedmodel_forward.so, then TensorFlow. A
// library's dependencies are bound in its scope, so TensorFlow finds the process's allocator first.
