// SPDX-License-Identifier: Apache-2.0
#include "engine/saved/fingerprint.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/paths.h"
#include "engine/base/status.h"
#include "engine/files/files.h"
#include "tensorflow/core/lib/hash/crc32c.h"
#include "tensorflow/core/platform/cpu_info.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/util/util.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

#if defined(__x86_64__)
constexpr char kArchitecture[] = "x86-64";
#elif defined(__aarch64__)
constexpr char kArchitecture[] = "aarch64";
#else
constexpr char kArchitecture[] = "other";
#endif

}  // namespace

std::string SourceFingerprint(const std::string& path) {
  std::uint32_t hash = 0;
  std::int64_t bytes = 0;
  for (const auto& [name, size] : ListFiles(path)) {
    const auto is_in = [&name = name](const char* prefix) { return name.rfind(prefix, 0) == 0; };
    if (!is_in("saved_model.") && !is_in("variables/") && !is_in("assets/")) continue;
    const bool read = !is_in("variables/") || name == "variables/variables.index";
    std::string content = name + "\n" + std::to_string(size) + "\n";
    std::string text;
    if (read) {
      const std::string file = tf::io::JoinPath(path, name);
      CheckRegularFile(file);  // reading a pipe would not end
      ThrowIfError(tf::ReadFileToString(tf::Env::Default(), file, &text), "'" + path + "'");
    }
    hash = tf::crc32c::Extend(hash, content.data(), content.size());
    hash = tf::crc32c::Extend(hash, text.data(), text.size());
    bytes += size;
  }
  return absl::StrFormat("%08x-%d", hash, bytes);
}

std::string CpuKind() {
  using Feature = tf::port::CPUFeature;
  static constexpr std::pair<Feature, const char*> features[] = {
      {Feature::AVX, "avx"},
      {Feature::AVX2, "avx2"},
      {Feature::FMA, "fma"},
      {Feature::AVX512F, "avx512f"},
      {Feature::AVX512_VNNI, "avx512_vnni"},
      {Feature::AVX512_BF16, "avx512_bf16"},
      {Feature::AVX512_FP16, "avx512_fp16"},
      {Feature::AMX_TILE, "amx_tile"},
      {Feature::AMX_BF16, "amx_bf16"},
  };
  std::string kind = kArchitecture;
  for (const auto& [feature, name] : features) {
    if (tf::port::TestCPUFeature(feature)) kind += std::string(" ") + name;
  }
  return kind + (tf::IsMKLEnabled() ? ", oneDNN" : "");
}

}  // namespace savedmodel::engine
