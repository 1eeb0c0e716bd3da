// SPDX-License-Identifier: Apache-2.0
// Weights in a file: reading them back, and detecting every changed byte.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/saved/mapped_weights.h"
#include "savedmodel/error.h"
#include "tests/cpp/temporary_folder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

std::vector<tf::Tensor> Weights() {
  tf::Tensor floats(tf::DT_FLOAT, {5});
  floats.flat<float>().setConstant(1.5F);
  tf::Tensor bytes(tf::DT_UINT8, {3, 7});
  bytes.flat<std::uint8_t>().setConstant(7);
  return {floats, bytes, floats};
}

class MapWeightsTest : public ::testing::Test {
 protected:
  void Write(const std::string& content) { std::ofstream(file_, std::ios::binary) << content; }
  std::string Read() {
    std::ifstream file(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // True if the file is refused.
  bool Refused(const std::vector<tf::BundleEntryProto>& entries) {
    try {
      MapWeights(file_, entries);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kDataLoss) << error.what();
      return true;
    }
    return false;
  }
  const testing::TemporaryFolder folder_;
  const std::string file_ = folder_.Path("weights.bin");
};

TEST_F(MapWeightsTest, ComeBackAsTheyWere) {
  const std::vector<tf::Tensor> written = Weights();
  const MappedWeights mapped = MapWeights(file_, WriteWeights(file_, written));
  const std::vector<tf::Tensor>& read = mapped.tensors;
  ASSERT_EQ(read.size(), written.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].dtype(), written[i].dtype());
    EXPECT_EQ(read[i].shape(), written[i].shape());
    EXPECT_EQ(read[i].tensor_data(), written[i].tensor_data());
  }
}

TEST_F(MapWeightsTest, ReadTheFileAgainAfterTheirPagesWereDropped) {
  const std::vector<tf::Tensor> written = Weights();
  const MappedWeights mapped = MapWeights(file_, WriteWeights(file_, written));
  DropPages(mapped);
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(mapped.tensors[i].tensor_data(), written[i].tensor_data());
  }
  DropPages({});
}

// The alignment gaps have no checksum of their own.
TEST_F(MapWeightsTest, AnyChangedByteIsNoticed) {
  const std::vector<tf::BundleEntryProto> entries = WriteWeights(file_, Weights());
  const std::string content = Read();
  for (std::size_t i = 0; i < content.size(); ++i) {
    std::string changed = content;
    changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
    Write(changed);
    EXPECT_TRUE(Refused(entries)) << "byte " << i << " of " << content.size();
  }
  Write(content + '\0');
  EXPECT_TRUE(Refused(entries));
  Write(content.substr(0, content.size() - 1));
  EXPECT_TRUE(Refused(entries));
  Write(content);
  EXPECT_FALSE(Refused(entries));
}

}  // namespace
}  // namespace savedmodel::engine
