// SPDX-License-Identifier: Apache-2.0
// Stands in for the libraries of a TensorFlow that is too old.
extern "C" __attribute__((visibility("default"))) const char* TF_Version() { return "2.20.3"; }
