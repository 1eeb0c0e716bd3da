// SPDX-License-Identifier: Apache-2.0
// Opening TensorFlow, logging, forks and exits; each in a separate process, see child.cc.
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "savedmodel/runtime.h"
#include "tests/cpp/process.h"
#include "tests/cpp/support.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel {
namespace {

using testing::Finished;
using testing::Has;
using testing::ModelPath;
using testing::RunChild;

// A forked child does not free its model, which a sanitizer would report as a leak.
const std::map<std::string, std::string> kPlain = {
    {"TF_CPP_MIN_LOG_LEVEL", ""}, {"SAVEDMODEL_TENSORFLOW_DIR", ""}, {"ASAN_OPTIONS", "detect_leaks=0"}};

std::map<std::string, std::string> With(const std::string& name, const std::string& value) {
  std::map<std::string, std::string> environment = kPlain;
  environment[name] = value;
  return environment;
}

Finished Child(const std::string& command, const std::string& argument = "",
               const std::map<std::string, std::string>& environment = kPlain) {
  return RunChild({command, ModelPath("add"), argument}, environment);
}

TEST(Runtime, VersionIsKnownOnceTensorFlowIsOpen) {
  const Finished child = Child("run");
  EXPECT_TRUE(child.exited_with(0));
  EXPECT_TRUE(Has(child.out, "before: ''\n3.75"));
  EXPECT_TRUE(Has(child.out, std::string("after: '") + RequiredTensorFlowVersion() + "."));
}

TEST(Runtime, OpeningTwiceIsOpeningOnce) {
  OpenTensorFlow();
  const std::string version = TensorFlowVersion();
  SetTensorFlowDirectory("/nowhere");  // too late to have an effect
  OpenTensorFlow();
  EXPECT_EQ(TensorFlowVersion(), version);
  EXPECT_EQ(version.rfind(std::string(RequiredTensorFlowVersion()) + ".", 0), 0U) << version;
}

TEST(Runtime, StderrStaysClean) {
  const Finished child = Child("run");
  EXPECT_TRUE(child.exited_with(0));
  EXPECT_EQ(child.err, "");
}

TEST(Runtime, LogHandlerReceivesWhatTensorFlowSays) {
  const Finished child = Child("log");
  EXPECT_TRUE(child.exited_with(0));
  EXPECT_TRUE(Has(child.out, "log 0 "));
  EXPECT_TRUE(Has(child.out, "Restoring SavedModel bundle"));
  EXPECT_TRUE(Has(child.out, "CPU:0"));  // of log_device_placement
  EXPECT_TRUE(Has(child.out, "\n3.75"));
  EXPECT_EQ(child.err, "");
}

TEST(Runtime, TheUsersLogLevelIsRespected) {
  const Finished loud = Child("run", "", With("TF_CPP_MIN_LOG_LEVEL", "0"));
  EXPECT_TRUE(loud.exited_with(0));
  EXPECT_TRUE(Has(loud.err, "Restoring SavedModel bundle"));
}

TEST(Runtime, AWrongDirectoryInTheEnvironmentIsAClearError) {
  const Finished child = Child("run", "", With("SAVEDMODEL_TENSORFLOW_DIR", "/no/such/folder"));
  EXPECT_TRUE(child.exited_with(3));
  EXPECT_TRUE(Has(child.out, "FAILED_PRECONDITION"));
  EXPECT_TRUE(Has(child.out, "SAVEDMODEL_TENSORFLOW_DIR"));
  EXPECT_TRUE(Has(child.out, "/no/such/folder"));
  EXPECT_TRUE(Has(child.out, "libtensorflow_framework.so.2"));
}

TEST(Runtime, ALibraryThatIsNoneIsAClearError) {
  const testing::TemporaryFolder folder;
  const std::string directory = folder.path().string();
  std::ofstream(directory + "/libtensorflow_framework.so.2") << "not a library";
  const Finished child = Child("run", "", With("SAVEDMODEL_TENSORFLOW_DIR", directory));
  EXPECT_TRUE(child.exited_with(3));
  EXPECT_TRUE(Has(child.out, "FAILED_PRECONDITION"));
  EXPECT_TRUE(Has(child.out, directory));
  EXPECT_TRUE(Has(child.out, "pip install"));
}

TEST(Runtime, AnotherVersionIsAClearError) {
  const Finished child = Child("run", "", With("SAVEDMODEL_TENSORFLOW_DIR", SAVEDMODEL_TEST_FAKE_TENSORFLOW));
  EXPECT_TRUE(child.exited_with(3));
  EXPECT_TRUE(Has(child.out, "FAILED_PRECONDITION"));
  EXPECT_TRUE(Has(child.out, "2.20.3"));
  EXPECT_TRUE(Has(child.out, RequiredTensorFlowVersion()));
  EXPECT_TRUE(Has(child.out, "pip install"));
}

TEST(Runtime, WhatTensorFlowSaysBeforeADeathReachesStderr) {
  auto environment = With("SAVEDMODEL_TENSORFLOW_DIR", SAVEDMODEL_TEST_FAKE_TENSORFLOW);
  environment["SAVEDMODEL_TEST_DIE"] = "1";
  const Finished child = Child("run", "", environment);
  EXPECT_TRUE(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT) << child.status;
  EXPECT_EQ(child.err, "the last words of a static initialiser\n");
}

TEST(Runtime, TheDirectoryThatWasSetIsUsed) {
  const Finished child = Child("directory", SAVEDMODEL_TEST_FAKE_TENSORFLOW);
  EXPECT_TRUE(child.exited_with(3));
  EXPECT_TRUE(Has(child.out, "2.20.3"));
}

TEST(Runtime, TheEnvironmentComesBeforeTheDirectoryThatWasSet) {
  const Finished child = Child("directory", SAVEDMODEL_TEST_FAKE_TENSORFLOW,
                               With("SAVEDMODEL_TENSORFLOW_DIR", SAVEDMODEL_TEST_TENSORFLOW));
  EXPECT_TRUE(child.exited_with(0)) << child.out;
  EXPECT_TRUE(Has(child.out, "3.75"));
}

TEST(Runtime, ADirectoryWithoutTensorFlowIsPassedOver) {
  const Finished child = Child("directory", "/no/such/folder");
  EXPECT_TRUE(child.exited_with(0)) << child.out;
}

TEST(Runtime, ExitsWithAModelInAStaticVariable) {
  const Finished child = Child("keep_loaded");
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "3.75"));
  EXPECT_EQ(child.err, "");
}

// Runs that nothing else could end: the library stops them before their libraries are unloaded.
class Exit : public ::testing::TestWithParam<const char*> {};

TEST_P(Exit, WhileModelsRun) {
  const Finished child = RunChild({"exit_while_running", ModelPath("slow"), GetParam()}, kPlain);
  EXPECT_TRUE(child.exited_with(5)) << "status " << child.status << child.err;
  EXPECT_EQ(child.out, "exits");
  EXPECT_EQ(child.err, "");
}

INSTANTIATE_TEST_SUITE_P(Runtime, Exit, ::testing::Values("exit", "return", "async", "callback", "load"));

TEST(Runtime, ExitsWhileARunCanNotBeStopped) {
  const Finished child = RunChild({"exit_while_running", ModelPath("wide"), "stuck"}, kPlain);
  EXPECT_TRUE(child.exited_with(5)) << "status " << child.status << child.err;
  EXPECT_EQ(child.out, "exits");
}

class Fork : public ::testing::TestWithParam<const char*> {};

TEST_P(Fork, AfterALoadTheChildGetsErrorsAndExits) {
  const Finished child = Child("fork_after_load", GetParam());
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "run: FAILED_PRECONDITION: this process was forked"));
  EXPECT_TRUE(Has(child.out, "load: FAILED_PRECONDITION: this process was forked"));
  EXPECT_TRUE(Has(child.out, "bind: FAILED_PRECONDITION"));
  EXPECT_TRUE(Has(child.out, "closed: 1"));
  EXPECT_TRUE(Has(child.out, "child status: 0\n"));
  EXPECT_TRUE(Has(child.out, "parent: 3.75"));
  EXPECT_EQ(child.err, "");
}

TEST_P(Fork, AWatchingThreadStaysWithTheParent) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directory_symlink(ModelPath("add"), folder.path() / "1");
  const Finished child = RunChild({"fork_while_watching", folder.path().string(), GetParam()}, kPlain);
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "run: FAILED_PRECONDITION: this process was forked"));
  EXPECT_TRUE(Has(child.out, "child status: 0\n"));
  EXPECT_TRUE(Has(child.out, "parent: 3.75"));
}

TEST_P(Fork, AThreadThatWaitsForAVersionStaysWithTheParent) {
  const testing::TemporaryFolder folder;
  const Finished child = RunChild({"fork_while_waiting", folder.path().string(), GetParam()}, kPlain);
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "run: FAILED_PRECONDITION: this process was forked"));
  EXPECT_TRUE(Has(child.out, "child status: 0\n"));
}

TEST_P(Fork, BeforeALoadBothCanLoad) {
  const Finished child = Child("fork_before_load", GetParam());
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "load: 3.75"));
  EXPECT_TRUE(Has(child.out, "child status: 0\n"));
  EXPECT_TRUE(Has(child.out, "parent: 3.75"));
}

TEST_P(Fork, AfterAnInspectionBothCanLoad) {
  const Finished child = Child("fork_after_inspect", GetParam());
  EXPECT_TRUE(child.exited_with(0)) << "status " << child.status;
  EXPECT_TRUE(Has(child.out, "load: 3.75"));
  EXPECT_TRUE(Has(child.out, "child status: 0\n"));
  EXPECT_TRUE(Has(child.out, "parent: 3.75"));
}

INSTANTIATE_TEST_SUITE_P(Exits, Fork, ::testing::Values("exit", "_exit"),
                         [](const auto& test) { return test.param[0] == '_' ? "Immediate" : "Normal"; });

}  // namespace
}  // namespace savedmodel
