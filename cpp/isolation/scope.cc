// SPDX-License-Identifier: Apache-2.0
// libsavedmodel_scope.so: nothing but what it needs, in this order: libsavedmodel_forward.so, then
// TensorFlow. What is loaded for a library is bound in that library's scope, so TensorFlow finds the
// process's allocator first.
