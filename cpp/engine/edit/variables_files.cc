// SPDX-License-Identifier: Apache-2.0
#include "engine/edit/variables_files.h"

#include <vector>

#include "engine/base/names.h"
#include "engine/base/status.h"
#include "tensorflow/cc/saved_model/constants.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor_slice.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/path.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"

namespace savedmodel::engine::edit {
namespace tf = tensorflow;
namespace {

std::string Prefix(const std::string& path) {
  return tf::io::JoinPath(path, tf::kSavedModelVariablesDirectory, tf::kSavedModelVariablesFilename);
}

absl::Status CopyOne(const std::string& name, tf::BundleReader* reader, tf::BundleWriter* writer) {
  tf::DataType dtype;
  tf::TensorShape shape;
  std::vector<tf::TensorSlice> slices;
  TF_RETURN_IF_ERROR(reader->LookupDtypeAndShape(name, &dtype, &shape));
  TF_RETURN_IF_ERROR(reader->LookupTensorSlices(name, &slices));
  if (slices.empty()) {
    tf::Tensor value(dtype, shape);
    TF_RETURN_IF_ERROR(reader->Lookup(name, &value));
    return writer->Add(name, value);
  }
  for (const tf::TensorSlice& slice : slices) {  // of a partitioned variable
    tf::TensorShape part;
    TF_RETURN_IF_ERROR(slice.SliceTensorShape(shape, &part));
    tf::Tensor value(dtype, part);
    TF_RETURN_IF_ERROR(reader->LookupSlice(name, slice, &value));
    TF_RETURN_IF_ERROR(writer->AddSlice(name, shape, slice, value));
  }
  return absl::OkStatus();
}

}  // namespace

void CopyVariables(const std::string& source, const std::string& target, const std::set<std::string>& names) {
  if (names.empty()) return;
  tf::Env* env = tf::Env::Default();
  tf::BundleReader reader(env, Prefix(source));
  ThrowIfError(reader.status(), Quote(Prefix(source)));
  tf::BundleWriter writer(env, Prefix(target));
  ThrowIfError(writer.status(), Quote(Prefix(target)));
  for (const std::string& name : names) {
    if (reader.Contains(name)) ThrowIfError(CopyOne(name, &reader, &writer), "variable " + Quote(name));
  }
  ThrowIfError(writer.Finish(), Quote(Prefix(target)));
}

}  // namespace savedmodel::engine::edit
