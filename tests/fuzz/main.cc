// SPDX-License-Identifier: Apache-2.0
// Has changed models read and checked, one seed each, in child processes that may die. See README.md.
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

using savedmodel::fuzz::Fixture;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::uint64_t kBatch = 200;                // runs of one child
constexpr auto kLongest = std::chrono::seconds(15);  // of one run
constexpr rlim_t kMaxMemory = rlim_t{8} << 30;       // address space, bytes

// What a child tells its parent, in memory that both have.
struct Progress {
  std::atomic<std::uint64_t> seed;
  std::atomic<std::int64_t> started;  // steady clock, ns
  std::atomic<std::uint64_t> outcomes[savedmodel::fuzz::kOutcomes];
};

volatile std::sig_atomic_t stopped = 0;

void SayWhere(int signal) {
  void* frames[64];
  const int depth = backtrace(frames, 64);
  backtrace_symbols_fd(frames, depth, STDERR_FILENO);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// A stack of its own, so that an overflow of the other one can be told.
void TellSignals() {
  static char stack[1 << 18];
  stack_t other{};
  other.ss_sp = stack;
  other.ss_size = sizeof(stack);
  sigaltstack(&other, nullptr);
  void* frame = nullptr;
  backtrace(&frame, 1);  // loads what it needs
  struct sigaction action {};
  action.sa_handler = SayWhere;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
}

[[noreturn]] void Work(const std::vector<Fixture>& fixtures, const fs::path& scratch, std::uint64_t first,
                       std::uint64_t last, Progress* progress) {
  const int log = open((scratch / "log").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
  dup2(log, STDERR_FILENO);
  dup2(log, STDOUT_FILENO);
  const rlimit memory{kMaxMemory, kMaxMemory};
  setrlimit(RLIMIT_AS, &memory);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  TellSignals();
  for (std::uint64_t seed = first; seed < last; ++seed) {
    if (ftruncate(log, 0) != 0) _exit(2);
    savedmodel::fuzz::WriteChanged(fixtures, seed, scratch / "model");
    progress->started = Clock::now().time_since_epoch().count();
    progress->seed = seed;
    const auto outcome = savedmodel::fuzz::ReadAndCheck(scratch / "model", false);
    ++progress->outcomes[static_cast<int>(outcome)];
  }
  _exit(0);
}

// The line that tells one kind of death from another: a failed CHECK, or the first frames.
std::string KindOf(const std::string& log, int status, bool hung) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < log.size();) {
    const std::size_t end = std::min(log.find('\n', begin), log.size());
    lines.push_back(log.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!hung) {
    for (const std::string& line : lines) {
      const std::size_t text = line.find("] ");
      if (!line.empty() && line[0] == 'F' && text != std::string::npos) {
        return line.substr(line.rfind(' ', text - 1) + 1).substr(0, 160);
      }
      if (line.find("terminate called") != std::string::npos) return line;
    }
  }
  std::string kind = hung ? "hung" : "signal " + std::to_string(WTERMSIG(status));
  int frames = 0;
  for (const std::string& line : lines) {
    const std::size_t open = line.find('(');
    const std::size_t plus = line.find('+', open == std::string::npos ? 0 : open);
    if (open == std::string::npos || plus == std::string::npos || plus == open + 1) continue;
    kind += (frames == 0 ? " in " : " < ") + line.substr(open + 1, plus - open - 1);
    if (++frames == 4) break;
  }
  return kind;
}

struct Campaign {
  std::vector<Fixture> fixtures;
  fs::path scratch;
  std::map<std::string, std::vector<std::uint64_t>> kinds;
  Progress* progress = nullptr;

  void Record(int status, bool hung) {
    std::ifstream file(scratch / "log");
    const std::string log{std::istreambuf_iterator<char>(file), {}};
    const std::string kind = KindOf(log, status, hung);
    const std::uint64_t seed = progress->seed;
    kinds[kind].push_back(seed);
    std::cout << seed << "\t" << kind << std::endl;
    if (kinds[kind].size() > 5) return;
    const fs::path kept = scratch / "found" / std::to_string(seed);
    fs::remove_all(kept);
    fs::create_directories(kept.parent_path());
    fs::copy(scratch / "model", kept, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    std::ofstream(kept / "log") << log.substr(0, 20000);
  }

  // Returns the seed to go on with.
  std::uint64_t RunBatch(std::uint64_t first, std::uint64_t last) {
    progress->seed = first;
    progress->started = Clock::now().time_since_epoch().count();
    std::cout.flush();
    const pid_t child = fork();
    if (child == 0) Work(fixtures, scratch, first, last, progress);
    int status = 0;
    bool hung = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const auto age = Clock::now().time_since_epoch() - Clock::duration(progress->started.load());
      if (age > kLongest && !hung) {
        hung = true;
        kill(child, SIGABRT);  // says where it is
      } else if (age > kLongest + std::chrono::seconds(3)) {
        kill(child, SIGKILL);
      }
    }
    if (status == 0) return last;
    Record(status, hung);
    return progress->seed + 1;
  }
};

int RunAll(const fs::path& models, const fs::path& scratch, std::uint64_t first, std::uint64_t last) {
  Campaign campaign{savedmodel::fuzz::ReadFixtures(models), scratch, {}};
  if (campaign.fixtures.empty()) return std::cerr << "no models in " << models << "\n", 2;
  campaign.progress = static_cast<Progress*>(
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::signal(SIGINT, [](int) { stopped = 1; });  // goes on to the end of a batch, then counts
  std::uint64_t seed = first;
  while (seed < last && stopped == 0) seed = campaign.RunBatch(seed, std::min(seed + kBatch, last));
  std::cout << seed - first << " runs of " << campaign.fixtures.size() << " models: ";
  static constexpr const char* kNames[] = {"unreadable", "refused", "accepted"};
  for (int i = 0; i < savedmodel::fuzz::kOutcomes; ++i) {
    std::cout << campaign.progress->outcomes[i] << " " << kNames[i] << ", ";
  }
  std::size_t died = 0;
  for (const auto& [kind, seeds] : campaign.kinds) died += seeds.size();
  std::cout << died << " died, in " << campaign.kinds.size() << " ways\n";
  for (const auto& [kind, seeds] : campaign.kinds) {
    std::cout << seeds.size() << "\tseed " << seeds.front() << "\t" << kind << "\n";
  }
  return campaign.kinds.empty() ? 0 : 1;
}

int RunOne(const fs::path& models, const fs::path& scratch, std::uint64_t seed) {
  const auto fixtures = savedmodel::fuzz::ReadFixtures(models);
  std::cout << savedmodel::fuzz::WriteChanged(fixtures, seed, scratch / "model") << std::flush;
  savedmodel::fuzz::ReadAndCheck(scratch / "model", true);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: fuzz_saved_model MODELS SCRATCH FIRST_SEED LAST_SEED\n"
                 "       fuzz_saved_model MODELS SCRATCH SEED\n";
    return 2;
  }
  const fs::path models = fs::absolute(argv[1]);
  const fs::path scratch = fs::absolute(argv[2]);
  fs::create_directories(scratch / "work");
  fs::current_path(scratch / "work");  // where ops with paths that are not absolute would write
  const std::uint64_t first = std::strtoull(argv[3], nullptr, 10);
  if (argc == 4) return RunOne(models, scratch, first);
  return RunAll(models, scratch, first, std::strtoull(argv[4], nullptr, 10));
}
