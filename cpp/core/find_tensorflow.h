// SPDX-License-Identifier: Apache-2.0
// INTERNAL. Where files are: our libraries, and the `tensorflow` folder of the wheel.
#pragma once

#include <string>

namespace savedmodel::internal {

inline constexpr char kFrameworkLibrary[] = "libtensorflow_framework.so.2";
inline constexpr char kRuntimeLibrary[] = "libtensorflow_cc.so.2";

// The folder of a path; "." where it has none.
std::string Directory(const std::string& path);

// Where libsavedmodel.so lies.
std::string OwnDirectory();

// Of the wheel: a folder `tensorflow` beside the installed package.
std::string NeighbourDirectory();

// "pip install 'tensorflow==2.21.*'"
std::string InstallHint();

// Where TensorFlow is that is in the process already, or "". A second one is never opened.
std::string PresentTensorFlow();

// The folder with TensorFlow's libraries; FAILED_PRECONDITION, which names each place that was looked at.
std::string FindTensorFlow(const std::string& hint);

}  // namespace savedmodel::internal
