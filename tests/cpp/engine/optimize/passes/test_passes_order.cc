// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "engine/optimize/passes/passes.h"

namespace savedmodel::engine {
namespace {

TEST(Passes, RunAfterThoseThatTheyNeed) {
  std::map<std::string, bool> known;
  for (const Pass& pass : Passes()) known[pass.name] = false;
  EXPECT_EQ(known.size(), Passes().size()) << "two have one name";
  for (const Pass& pass : Passes()) {
    for (const Pass::After& after : pass.after) {
      ASSERT_EQ(known.count(after.pass), 1U) << pass.name << " names " << after.pass;
      EXPECT_TRUE(known[after.pass]) << pass.name << " has to run after " << after.pass;
      EXPECT_STRNE(after.reason, "");
    }
    known[pass.name] = true;
  }
}

TEST(Passes, SayWhatTheyDo) {
  for (const Pass& pass : Passes()) {
    EXPECT_STRNE(pass.what, "") << pass.name;
    EXPECT_NE(pass.apply, nullptr) << pass.name;
  }
}

}  // namespace
}  // namespace savedmodel::engine
