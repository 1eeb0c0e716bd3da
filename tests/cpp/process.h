// SPDX-License-Identifier: Apache-2.0
// Runs the program `child` and keeps its output.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace savedmodel::testing {

struct Finished {
  int status = -1;  // waitpid's status: 0 for a clean exit
  std::string out;
  std::string err;

  bool exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

inline std::string ReadBack(std::FILE* file) {
  std::string text;
  std::rewind(file);
  char block[4096];
  while (const std::size_t size = std::fread(block, 1, sizeof(block), file)) text.append(block, size);
  std::fclose(file);
  return text;
}

// `environment` overrides this process's; an empty value removes the variable. SIGALRM ends a process that
// hangs after two minutes.
inline Finished RunChild(std::vector<std::string> arguments,
                         const std::map<std::string, std::string>& environment = {}) {
  std::FILE* out = std::tmpfile();
  std::FILE* err = std::tmpfile();
  if (out == nullptr || err == nullptr) {
    ADD_FAILURE() << "no temporary files";
    return {};
  }
  arguments.insert(arguments.begin(), SAVEDMODEL_TEST_CHILD);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    for (const auto& [name, value] : environment) {
      if (value.empty()) {
        unsetenv(name.c_str());
      } else {
        setenv(name.c_str(), value.c_str(), 1);
      }
    }
    alarm(120);  // persists across the exec
    execv(argv[0], argv.data());
    _exit(127);
  }
  Finished finished;
  waitpid(pid, &finished.status, 0);
  finished.out = ReadBack(out);
  finished.err = ReadBack(err);
  return finished;
}

}  // namespace savedmodel::testing
