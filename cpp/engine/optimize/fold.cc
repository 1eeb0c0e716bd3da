// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/fold.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/graph/attributes.h"
#include "engine/graph/rewriter.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace savedmodel::engine {
namespace tf = tensorflow;
namespace {

// A result much larger than its inputs (a broadcast, a tile) is cheaper to recompute than to read.
constexpr std::int64_t kMaxGrowth = 4;

bool MayGrow(const std::string& op) { return op == "BroadcastTo" || op == "Fill" || op == "Tile"; }

bool Unfoldable(const std::string& op) {
  return op == "Identity" || op == "Placeholder" || IsControlFlow(op);
}

// `grow`: also accepts ops whose results may be much larger than their inputs.
bool IsFoldable(const tf::NodeDef& node, bool grow) {
  const tf::OpDef* op = FindOp(node.op());
  if (op == nullptr) return false;  // a function
  return !op->is_stateful() && op->output_arg_size() == 1 && op->output_arg(0).number_attr().empty() &&
         op->output_arg(0).type_list_attr().empty() && !Unfoldable(node.op()) &&
         (grow || !MayGrow(node.op())) && !HasControlInputs(node) && CountDataInputs(node) > 0;
}

bool Evaluate(const tf::NodeDef& node, const std::vector<tf::Tensor>& inputs, tf::Device* device, int version,
              tf::Tensor* result) {
  absl::Status status;
  const std::unique_ptr<tf::OpKernel> kernel = tf::CreateOpKernel(
      tf::DEVICE_CPU, device, device->GetAllocator(tf::AllocatorAttributes()), node, version, &status);
  if (!status.ok() || kernel->AsAsync() != nullptr) return false;
  std::vector<tf::Tensor> held = inputs;  // so that no kernel writes into a constant
  std::vector<tf::TensorValue> values;
  for (tf::Tensor& tensor : held) values.emplace_back(&tensor);
  const std::vector<tf::AllocatorAttributes> attributes(values.size() + 1);
  std::function<void(std::function<void()>)> runner = [](const std::function<void()>& closure) { closure(); };
  tf::OpKernelContext::Params params;
  params.device = device;
  params.op_kernel = kernel.get();
  params.resource_manager = device->resource_manager();
  params.inputs = values;
  params.input_alloc_attrs = absl::MakeSpan(attributes).first(values.size());
  params.output_attr_array = attributes.data();
  params.runner = &runner;
  params.run_all_kernels_inline = true;
  tf::OpKernelContext context(&params, 1);
  device->Compute(kernel.get(), &context);
  const std::unique_ptr<tf::Tensor> output(context.release_output(0).tensor);
  if (!context.status().ok() || output == nullptr || !output->IsInitialized()) return false;
  if (!tf::DataTypeCanUseMemcpy(output->dtype()) && output->dtype() != tf::DT_STRING) return false;
  *result = *output;
  return true;
}

int Fold(tf::GraphDef* graph, tf::Device* device, ConstantPool* pool, bool all) {
  int folded = 0;
  Rewriter rewriter(graph, pool);
  std::vector<tf::NodeDef*> pending;
  const auto add_readers = [&](const tf::NodeDef& node) {
    for (const Rewriter::Reader& reader : rewriter.Readers(node)) pending.push_back(reader.node);
  };
  for (const tf::NodeDef* node : rewriter.nodes()) {
    if (node->op() == kPooledConstantOp || (all && node->op() == "Const")) add_readers(*node);
  }
  while (!pending.empty()) {
    tf::NodeDef* node = pending.back();
    pending.pop_back();
    if (node->op() == "Identity" && rewriter.Constant(*node, 0) != nullptr) {
      add_readers(*node);
      continue;
    }
    if (node->op().empty() || !IsFoldable(*node, all)) continue;
    std::vector<tf::Tensor> inputs;
    std::int64_t bytes = 0;
    for (int i = 0; i < node->input_size(); ++i) {
      const tf::Tensor* value = rewriter.Constant(*node, i);
      if (value == nullptr) break;
      inputs.push_back(*value);
      bytes += static_cast<std::int64_t>(value->TotalBytes());
    }
    tf::Tensor result;
    if (static_cast<int>(inputs.size()) != node->input_size() ||
        !Evaluate(*node, inputs, device, graph->versions().producer(), &result) ||
        (static_cast<std::int64_t>(result.TotalBytes()) > kMaxGrowth * bytes &&
         !(all && result.TotalBytes() < ConstantPool::kLarge))) {
      continue;
    }
    const tf::NodeDef* constant = rewriter.AddConstant(node->name() + "/folded", result);
    rewriter.Replace(*node, *constant);
    rewriter.Remove(node);
    add_readers(*constant);
    ++folded;
  }
  rewriter.Finish();
  return folded;
}

}  // namespace

void PoolLargeConstants(tf::GraphDef* graph, ConstantPool* pool) {
  for (tf::NodeDef& node : *graph->mutable_node()) {
    if (Attr(node, "value").tensor().ByteSizeLong() < ConstantPool::kLarge) continue;
    const std::optional<tf::Tensor> value = ConstValue(node);
    if (!value || !ConstantPool::Takes(*value)) continue;
    node.clear_attr();
    pool->Add(*value, &node);
  }
}

int FoldLargeConstants(tf::GraphDef* graph, tf::Device* device, ConstantPool* pool) {
  return Fold(graph, device, pool, false);
}

int FoldAllConstants(tf::GraphDef* graph, tf::Device* device, ConstantPool* pool) {
  return Fold(graph, device, pool, true);
}

}  // namespace savedmodel::engine
