// SPDX-License-Identifier: Apache-2.0
#include "core/stderr_capture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <sstream>

namespace savedmodel::internal {
namespace {

constexpr std::array<int, 6> kFatal = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTERM};

// State for the signal handler. The descriptors are -1 while nothing is captured.
std::atomic<int> real_stderr{-1};
std::atomic<int> held{-1};
std::array<struct sigaction, kFatal.size()> previous;

// Writes the captured text to the real descriptor. Uses only functions that are safe in a signal handler.
void GiveBack() {
  const int file = held.exchange(-1);
  const int target = real_stderr.exchange(-1);
  if (file < 0 || target < 0) return;
  dup2(target, STDERR_FILENO);
  char buffer[4096];
  off_t at = 0;
  for (ssize_t size; (size = pread(file, buffer, sizeof buffer, at)) > 0; at += size) {
    for (ssize_t done = 0, wrote; done < size; done += wrote) {
      if ((wrote = write(STDERR_FILENO, buffer + done, static_cast<std::size_t>(size - done))) <= 0) return;
    }
  }
}

void OnFatalSignal(int signal, siginfo_t* info, void*) {
  GiveBack();
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    if (kFatal[i] == signal) sigaction(signal, &previous[i], nullptr);
  }
  // Passes the signal to the previous handler: a fault happens again, a sent signal is raised again.
  if (info->si_code <= 0) raise(signal);
}

}  // namespace

StderrCapture::StderrCapture() {
  const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (saved < 0) return;
  const int file = memfd_create("savedmodel-stderr", MFD_CLOEXEC);
  if (file < 0) {
    close(saved);
    return;
  }
  real_stderr = saved;
  held = file;
  struct sigaction action {};
  action.sa_sigaction = &OnFatalSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kFatal.size(); ++i) sigaction(kFatal[i], &action, &previous[i]);
  // The process may also exit by itself, and the in-memory file would be lost.
  static const int registered = std::atexit(&GiveBack);
  static_cast<void>(registered);
  dup2(file, STDERR_FILENO);
}

StderrCapture::~StderrCapture() { Finish(); }

std::vector<std::string> StderrCapture::Finish() {
  const int file = held.exchange(-1);
  const int saved = real_stderr.exchange(-1);
  if (file < 0) return {};
  dup2(saved, STDERR_FILENO);
  close(saved);
  for (std::size_t i = 0; i < kFatal.size(); ++i) sigaction(kFatal[i], &previous[i], nullptr);
  std::string text(static_cast<std::size_t>(std::max<off_t>(lseek(file, 0, SEEK_END), 0)), '\0');
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  close(file);
  std::vector<std::string> lines;
  if (size <= 0) return lines;
  std::istringstream stream(text.substr(0, static_cast<std::size_t>(size)));
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace savedmodel::internal
