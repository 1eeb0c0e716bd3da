// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "savedmodel/signature.h"
#include "tests/cpp/support.h"

namespace savedmodel {
namespace {

using testing::LoadModel;

std::vector<std::string> Keys(const std::vector<TensorSpec>& specs) {
  std::vector<std::string> keys;
  for (const TensorSpec& spec : specs) keys.push_back(spec.key);
  return keys;
}

using Names = std::vector<std::string>;
using Dims = std::vector<std::int64_t>;

TEST(PartialShape, ToString) {
  EXPECT_EQ(PartialShapeToString(std::nullopt), "<unknown>");
  EXPECT_EQ(PartialShapeToString(Dims{}), "[]");
  EXPECT_EQ(PartialShapeToString(Dims{-1, 3, 0}), "[?, 3, 0]");
}

TEST(TensorSpec, ToString) {
  TensorSpec spec;
  spec.dtype = DType::kFloat32;
  spec.shape = Dims{-1, 3};
  EXPECT_EQ(spec.ToString(), "float32 [?, 3]");
  spec.shape = std::nullopt;
  EXPECT_EQ(spec.ToString(), "float32 <unknown>");
}

TEST(Flatten, ReplacesCompositesByTheirComponents) {
  TensorSpec dense;
  dense.key = "d";
  TensorSpec inner;
  inner.encoding = Encoding::kComposite;
  inner.components = {dense, dense};
  TensorSpec outer;
  outer.encoding = Encoding::kRagged;
  outer.components = {inner, dense};
  EXPECT_EQ(Flatten({}).size(), 0U);
  EXPECT_EQ(Keys(Flatten({dense})), (Names{"d"}));
  EXPECT_EQ(Keys(Flatten({outer, dense})), (Names{"d", "d", "d", "d"}));
}

TEST(Signature, InputsAndOutputsAreSortedByKey) {
  const Model model = LoadModel("odd_names");
  const Signature& signature = model.signatures().at("serving_default");
  EXPECT_EQ(signature.name, "serving_default");
  EXPECT_EQ(signature.method_name, "tensorflow/serving/predict");
  EXPECT_EQ(Keys(signature.inputs), (Names{"0/observation", "a b", "in"}));
  EXPECT_EQ(Keys(model.signatures().at("tensorflow/serving/predict").outputs), (Names{"class", "out/0"}));
}

TEST(Signature, ShapesAndTypes) {
  const Model model = LoadModel("shapes");
  const auto input = [&](const char* name) { return model.signatures().at(name).inputs.at(0); };
  EXPECT_EQ(input("static").shape, Dims({2, 3}));
  EXPECT_EQ(input("partial").shape, Dims({-1, 3}));
  EXPECT_EQ(input("unknown").shape, std::nullopt);
  EXPECT_EQ(input("static").dtype, DType::kFloat32);
  EXPECT_EQ(input("static").encoding, Encoding::kDense);
  EXPECT_FALSE(input("static").name.empty());
  EXPECT_EQ(input("static").default_value.dtype(), DType::kInvalid);
  EXPECT_EQ(LoadModel("scalar").signatures().at("serving_default").inputs.at(0).shape, Dims{});
}

TEST(Signature, ReferenceTypesAreNamedByTheirValue) {
  const Model model = LoadModel("v1_ref_counter");
  EXPECT_EQ(model.signatures().at("get").outputs.at(0).dtype, DType::kFloat32);
}

TEST(Signature, DefaultValues) {
  const Model model = LoadModel("defaults");
  const Signature& signature = model.signatures().at("serving_default");
  ASSERT_EQ(Keys(signature.inputs), (Names{"scale", "x"}));
  const Tensor& value = signature.inputs[0].default_value;
  ASSERT_EQ(value.dtype(), DType::kFloat32);
  EXPECT_EQ(testing::Values(value), std::vector<float>{3.0F});
  EXPECT_EQ(signature.inputs[1].default_value.dtype(), DType::kInvalid);
}

TEST(Signature, SparseComponents) {
  const Model model = LoadModel("composite");
  const TensorSpec& spec = model.signatures().at("sparse").inputs.at(0);
  EXPECT_EQ(spec.encoding, Encoding::kSparse);
  EXPECT_EQ(spec.dtype, DType::kFloat32);
  EXPECT_EQ(spec.name, "");
  EXPECT_EQ(Keys(spec.components), (Names{"x#indices", "x#values", "x#dense_shape"}));
  EXPECT_EQ(spec.components[0].dtype, DType::kInt64);
  EXPECT_EQ(spec.components[1].dtype, DType::kFloat32);
}

TEST(Signature, RaggedComponents) {
  const Model model = LoadModel("composite");
  const TensorSpec& ragged = model.signatures().at("ragged").inputs.at(0);
  EXPECT_EQ(ragged.encoding, Encoding::kRagged);
  EXPECT_EQ(Keys(ragged.components), (Names{"x#0", "x#1"}));
  const TensorSpec& nested = model.signatures().at("nested").inputs.at(0);
  EXPECT_EQ(nested.dtype, DType::kInt32);
  EXPECT_EQ(Keys(nested.components), (Names{"x#0", "x#1", "x#2"}));
}

TEST(Signature, FlattensIntoTheInputsOfItsFunction) {
  const Model model = LoadModel("composite");
  for (const auto& [name, signature] : model.signatures()) {
    SCOPED_TRACE(name);
    const Function function = model.function(name);
    EXPECT_EQ(Keys(function.inputs()), Keys(Flatten(signature.inputs)));
    EXPECT_EQ(Keys(function.outputs()), Keys(Flatten(signature.outputs)));
  }
}

TEST(Signature, TheGraphDecidesWhereASignatureErrs) {
  const Model model = LoadModel("bad_sig");
  const auto& signatures = model.signatures();
  EXPECT_EQ(signatures.at("wrong_dtype").inputs.at(0).dtype, DType::kFloat32);
  EXPECT_EQ(signatures.at("wrong_out_dtype").outputs.at(0).dtype, DType::kFloat32);
  EXPECT_EQ(signatures.at("wrong_shape").inputs.at(0).shape, Dims({-1, 3}));
}

}  // namespace
}  // namespace savedmodel
