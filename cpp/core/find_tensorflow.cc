// SPDX-License-Identifier: Apache-2.0
#include "core/find_tensorflow.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "savedmodel/error.h"
#include "savedmodel/version.h"

namespace savedmodel::internal {
namespace {

constexpr char kVariable[] = "SAVEDMODEL_TENSORFLOW_DIR";

bool HasTensorFlow(const std::string& directory) {
  struct stat info;
  return stat((directory + "/" + kFrameworkLibrary).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

std::string Directory(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string OwnDirectory() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&FindTensorFlow), &info) == 0 || info.dli_fname == nullptr) return ".";
  return Directory(info.dli_fname);
}

// The package layout is <site-packages>/savedmodel/lib.
std::string NeighbourDirectory() { return OwnDirectory() + "/../../tensorflow"; }

std::string InstallHint() {
  return std::string("pip install 'tensorflow==") + SAVEDMODEL_TF_REQUIRED + ".*'";
}

std::string PresentTensorFlow() {
  void* handle = dlopen(kFrameworkLibrary, RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return "";
  return Directory(map->l_name);
}

std::string FindTensorFlow(const std::string& hint) {
  if (const char* chosen = std::getenv(kVariable); chosen != nullptr && *chosen) {
    if (HasTensorFlow(chosen)) return chosen;
    throw Error(Code::kFailedPrecondition, std::string(kVariable) + " is '" + chosen + "', which has no " +
                                               kFrameworkLibrary +
                                               "; it must name the 'tensorflow' folder of the wheel");
  }
  const std::pair<const char*, std::string> places[] = {{"found by Python's import system", hint},
                                                        {"beside this package", NeighbourDirectory()},
                                                        {"chosen at build time", SAVEDMODEL_TF_DIRECTORY}};
  std::string looked;
  for (const auto& [what, directory] : places) {
    if (directory.empty()) continue;
    if (HasTensorFlow(directory)) return directory;
    looked += std::string(looked.empty() ? "" : "; ") + "'" + directory + "' (" + what + ")";
  }
  throw Error(Code::kFailedPrecondition,
              std::string("savedmodel ") + Version() + " needs TensorFlow " + SAVEDMODEL_TF_REQUIRED +
                  ", and none is installed; install it with: " + InstallHint() + "; or set " + kVariable +
                  " to the 'tensorflow' folder of the wheel. Searched for " + kFrameworkLibrary +
                  " in: " + looked);
}

}  // namespace savedmodel::internal
