// SPDX-License-Identifier: Apache-2.0
// One run: a changed copy of a model is written, and read and checked by what is ours. TensorFlow runs none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace savedmodel::fuzz {

// A SavedModel that is changed.
struct Fixture {
  std::string name;
  std::string path;
  std::string proto;  // its saved_model.pb
};

// The folders of `models` that hold a saved_model.pb and are small; sorted by name.
std::vector<Fixture> ReadFixtures(const std::string& models);

// Writes what `seed` makes of a fixture to the directory `target`, with links to its other files. Returns the
// fixture's name and what was changed.
std::string WriteChanged(const std::vector<Fixture>& fixtures, std::uint64_t seed, const std::string& target);

enum class Outcome { kUnreadable, kRefused, kAccepted };  // kAccepted: every MetaGraph passed all checks
inline constexpr int kOutcomes = 3;

// Does what a load does before TensorFlow sees the model; errors are outcomes. With `say`, they are printed.
Outcome ReadAndCheck(const std::string& path, bool say);

}  // namespace savedmodel::fuzz
