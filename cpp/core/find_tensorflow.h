// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Locates this library's files and the `tensorflow` folder of the wheel.
#pragma once

#include <string>

namespace savedmodel::internal {

inline constexpr char kFrameworkLibrary[] = "libtensorflow_framework.so.2";
inline constexpr char kRuntimeLibrary[] = "libtensorflow_cc.so.2";

// The folder of a path; "." if it has none.
std::string Directory(const std::string& path);

// The folder of libsavedmodel.so.
std::string OwnDirectory();

// The folder `tensorflow` beside the installed package.
std::string NeighbourDirectory();

// "pip install 'tensorflow==2.21.*'"
std::string InstallHint();

// The path of the TensorFlow that the process has already opened, or "". A second one is never opened.
std::string PresentTensorFlow();

// The folder with TensorFlow's libraries. Throws FAILED_PRECONDITION, which lists the searched places.
std::string FindTensorFlow(const std::string& hint);

}  // namespace savedmodel::internal
