// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "engine/graph/signatures.h"

namespace savedmodel::engine {
namespace {

TEST(InitOp, IsThatOfTheSignatureBeforeOlderPlaces) {
  tensorflow::MetaGraphDef meta_graph;
  EXPECT_EQ(InitOpOf(meta_graph), "");
  (*meta_graph.mutable_collection_def())["legacy_init_op"].mutable_node_list()->add_value("old");
  EXPECT_EQ(InitOpOf(meta_graph), "old");
  auto& signature = (*meta_graph.mutable_signature_def())["__saved_model_init_op"];
  (*signature.mutable_outputs())["__saved_model_init_op"].set_name("init");
  EXPECT_EQ(InitOpOf(meta_graph), "init");
}

}  // namespace
}  // namespace savedmodel::engine
