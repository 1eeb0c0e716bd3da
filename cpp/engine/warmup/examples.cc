// SPDX-License-Identifier: Apache-2.0
#include "engine/warmup/examples.h"

#include "tensorflow/core/example/example.pb.h"
#include "tensorflow/core/example/feature.pb.h"

namespace savedmodel::engine::warmup {
namespace {

struct Fill {
  void operator()(const std::vector<std::int64_t>& values) const {
    feature->mutable_int64_list()->mutable_value()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<float>& values) const {
    feature->mutable_float_list()->mutable_value()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<std::string>& values) const {
    for (const std::string& value : values) feature->mutable_bytes_list()->add_value(value);
  }
  tensorflow::Feature* feature;
};

}  // namespace

std::string SerializeExample(const std::map<std::string, Feature>& features) {
  tensorflow::Example example;
  for (const auto& [name, values] : features) {
    std::visit(Fill{&(*example.mutable_features()->mutable_feature())[name]}, values);
  }
  return example.SerializeAsString();
}

}  // namespace savedmodel::engine::warmup
