// SPDX-License-Identifier: Apache-2.0
#include "core/open_tensorflow.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "core/find_tensorflow.h"
#include "core/resident_memory.h"
#include "core/stderr_capture.h"
#include "savedmodel/error.h"
#include "savedmodel/version.h"

namespace savedmodel::internal {
namespace {

constexpr char kForwardLibrary[] = "libsavedmodel_forward.so";
constexpr char kScopeLibrary[] = "libsavedmodel_scope.so";
constexpr char kEngineLibrary[] = "libsavedmodel_tensorflow.so";

Error CannotOpen(const std::string& why) {
  return Error(Code::kFailedPrecondition, std::string("savedmodel ") + Version() +
                                              " was built for TensorFlow " + SAVEDMODEL_TF_REQUIRED +
                                              " and cannot open it: " + why +
                                              "; install the matching one with: " + InstallHint());
}

// Returns libc's dlopen: the one of sanitizers ends the process on a request for deep binding.
decltype(&dlopen) Opener() {
  const bool sanitized = dlsym(RTLD_DEFAULT, "__asan_init") != nullptr ||
                         dlsym(RTLD_DEFAULT, "__tsan_init") != nullptr ||
                         dlsym(RTLD_DEFAULT, "__hwasan_init") != nullptr;
  void* libc = sanitized ? dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD) : nullptr;
  void* own = libc == nullptr ? nullptr : dlsym(libc, "dlopen");
  return own == nullptr ? &dlopen : reinterpret_cast<decltype(&dlopen)>(own);
}

void* Open(const std::string& path, int flags) {
  void* handle = Opener()(path.c_str(), flags | RTLD_LOCAL);
  if (handle == nullptr) throw CannotOpen(dlerror());
  return handle;
}

bool SameDirectory(const std::string& a, const std::string& b) {
  std::error_code failed;
  return std::filesystem::equivalent(a, b, failed);
}

// The scope library looks for TensorFlow in the first folder of its search path, a placeholder of this many
// bytes in the file. This makes a copy that names `directory` instead.
std::string ScopeFor(const std::string& directory) {
  std::ifstream file(OwnDirectory() + "/" + kScopeLibrary, std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(file)), {});
  const std::string placeholder = SAVEDMODEL_SCOPE_PLACEHOLDER;
  const auto at = image.find(placeholder);
  if (at == std::string::npos)
    throw CannotOpen(std::string(kScopeLibrary) + " is not part of this savedmodel");
  if (directory.size() >= placeholder.size() || directory.find_first_of(":$") != std::string::npos) {
    throw CannotOpen("the dynamic linker can't search the folder '" + directory +
                     "': its path is too long, or has ':' or '$' in it");
  }
  // The zero cuts off the rest of the search path.
  image.replace(at, directory.size() + 1, directory + '\0');
  return image;
}

// A file that vanishes when it is closed: in memory, or in a folder if the system forbids executing from
// memory.
int TemporaryFile(bool in_memory) {
  if (in_memory) return memfd_create(kScopeLibrary, MFD_CLOEXEC);
  const char* folder = std::getenv("TMPDIR");
  return open(folder != nullptr && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
}

bool WriteAll(int file, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(file, text.data() + done, text.size() - done);
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

void* OpenScopeCopy(const std::string& directory, int flags) {
  const std::string image = ScopeFor(std::filesystem::absolute(directory).string());
  std::string why;
  for (const bool in_memory : {true, false}) {
    const int file = TemporaryFile(in_memory);
    void* handle = nullptr;
    if (file >= 0 && WriteAll(file, image)) {
      handle = Opener()(("/proc/self/fd/" + std::to_string(file)).c_str(), flags | RTLD_LOCAL);
      if (handle == nullptr) why = dlerror();
    } else if (why.empty()) {
      why = std::strerror(errno);
    }
    if (file >= 0) close(file);
    if (handle != nullptr) return handle;
  }
  throw CannotOpen(why);
}

std::string MajorMinor(const std::string& version) {
  const auto dot = version.find('.');
  return version.substr(0, version.find('.', dot == std::string::npos ? dot : dot + 1));
}

// Binds lazily: most of the 300,000 relocations are never used.
void* OpenIsolated(const std::string& directory) {
  const int flags = RTLD_LAZY | SAVEDMODEL_DEEPBIND;
  if (SameDirectory(directory, NeighbourDirectory())) {
    return Open(OwnDirectory() + "/" + kScopeLibrary, flags);
  }
  return OpenScopeCopy(directory, flags);
}

}  // namespace

OpenedTensorFlow OpenTensorFlowLibraries(const std::string& hint) {
  OpenedTensorFlow result;
  std::string directory = PresentTensorFlow();
  // The program that opened TensorFlow earlier is responsible for its logging.
  const bool present = !directory.empty();
  if (!present) directory = FindTensorFlow(hint);
  result.stderr_level = present ? 0 : StderrLevel();
  Open(OwnDirectory() + "/" + kForwardLibrary, RTLD_NOW);  // first, and without deep binding: see forward.cc
  void* tensorflow = nullptr;
  if (present) {
    tensorflow = Open(directory + "/" + kRuntimeLibrary, RTLD_LAZY);
  } else {
    std::unique_ptr<StderrCapture> capture;
    if (result.stderr_level > 0) capture = std::make_unique<StderrCapture>();
    tensorflow = OpenIsolated(directory);
    if (capture != nullptr) result.written = capture->Finish();
    MayDropLibraryPages();
  }
  auto version = reinterpret_cast<const char* (*)()>(dlsym(tensorflow, "TF_Version"));
  result.version = version == nullptr ? "unknown" : version();
  if (MajorMinor(result.version) != SAVEDMODEL_TF_REQUIRED) {
    throw Error(Code::kFailedPrecondition, std::string("savedmodel ") + Version() +
                                               " was built for TensorFlow " + SAVEDMODEL_TF_REQUIRED +
                                               ", and the one found is " + result.version + " (" + directory +
                                               "); install the matching one with: " + InstallHint());
  }
  void* library = Open(OwnDirectory() + "/" + kEngineLibrary, RTLD_NOW | SAVEDMODEL_DEEPBIND);
  result.open_engine = reinterpret_cast<OpenEngineFn>(dlsym(library, kOpenEngineSymbol));
  if (result.open_engine == nullptr) {
    throw Error(Code::kInternal,
                std::string(kEngineLibrary) + " is not part of this savedmodel: " + dlerror());
  }
  return result;
}

}  // namespace savedmodel::internal
