// SPDX-License-Identifier: Apache-2.0
#include "engine/optimize/recurrent/fusion.h"

#include <algorithm>

#include "engine/ops/rnn.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;

bool IsVector(const Value& value, std::initializer_list<std::int64_t> numbers) {
  const auto found = Integers(value);
  return found && std::equal(found->begin(), found->end(), numbers.begin(), numbers.end());
}

// Swaps the first two of three dimensions.
bool IsBatchTranspose(const Dataflow& graph, const Value& value) {
  return value.Is("Transpose") && IsVector(graph.Input(value, 1), {1, 0, 2});
}

bool IsReverse(const Dataflow& graph, const Value& value, std::int64_t axis) {
  return value.Is("ReverseV2") && IsVector(graph.Input(value, 1), {axis});
}

// tensor[-1], or tensor[0] if there is only one.
bool IsLast(const Dataflow& graph, const Value& value, bool only_one) {
  if (!value.Is("StridedSlice") || Attr(value, "shrink_axis_mask").i() != 1) return false;
  if (!AreZero(value, {"begin_mask", "ellipsis_mask", "new_axis_mask"})) return false;
  const Value begin = graph.Input(value, 1);
  return IsVector(graph.Input(value, 3), {1}) &&
         (IsVector(begin, {-1}) || (only_one && IsVector(begin, {0})));
}

}  // namespace

Fusion::Fusion(tf::GraphDef* graph, const std::unordered_set<std::string>& keep, tf::NodeDef* node,
               const tf::FunctionDef& cond, const tf::FunctionDef& body)
    : keep_(keep), flow_(*graph), node_(node), loop_(ReadLoop(flow_, *node, cond, body)), graph_(graph) {
  Require(node->device().empty() || node->device().find("CPU") != std::string::npos, "it is not on a CPU");
  Require(!Kept(*node), "its outputs are fetched");
  const auto& inputs = node->input();
  std::copy_if(inputs.begin(), inputs.end(), std::back_inserter(controls_), IsControl);
  ReadX();
  ReadMask();
  ReadStates();
  ReadOutputs();
}

std::vector<Fusion::Use> Fusion::DirectUses(const tf::NodeDef& node, int index) const {
  std::vector<Use> found = graph_.Readers(node);
  found.erase(
      std::remove_if(found.begin(), found.end(),
                     [&](const Use& use) { return TensorRef(use.node->input(use.input)).index != index; }),
      found.end());
  return found;
}

std::vector<Fusion::Use> Fusion::Uses(const tf::NodeDef& node, int index) const {
  std::vector<Use> found;
  for (const Use& use : DirectUses(node, index)) {
    if (use.node->op() == "Identity" && use.node->input_size() == 1 && !Kept(*use.node)) {
      const auto further = Uses(*use.node, 0);
      found.insert(found.end(), further.begin(), further.end());
    } else {
      found.push_back(use);
    }
  }
  return found;
}

Value Fusion::Unturned(Value value, bool* time_major, bool* reverse) {
  while (value.known()) {
    if (IsReverse(flow_, value, *time_major ? 0 : 1)) {
      *reverse = !*reverse;
    } else if (IsBatchTranspose(flow_, value)) {
      *time_major = !*time_major;
    } else {
      return value;
    }
    value = flow_.Input(value, 0, &controls_);
  }
  throw Mismatch{"its input can't be found"};
}

void Fusion::ReadX() {
  x_ = flow_.Input(InputOfLoop(loop_.x), 0, &controls_);  // of the TensorListFromTensor
  x_ = Unturned(x_, &time_major_, &reverse_);
}

bool Fusion::IsZeros(int input) {
  const Value value = InputOfLoop(input);
  return value.Is("ZerosLike") || (value.Is("Fill") && RepeatedNumber(flow_.Input(value, 1)) == 0.0F);
}

void Fusion::ReadMask() {
  if (loop_.mask < 0) return;
  const Value list = InputOfLoop(loop_.mask);
  Require(list.Is("TensorListFromTensor") && Attr(list, "element_dtype").type() == tf::DT_BOOL,
          "its mask is not a list made of a tensor");
  bool reverse = false;
  mask_ = Unturned(flow_.Input(list, 0, &controls_), &mask_time_major_, &reverse);
  Require(reverse == reverse_, "it walks its mask another way than its input");
  for (const int result : {loop_.previous, loop_.masked_result}) {
    Require(result < 0 || IsZeros(result), "its results begin with something else than zeros");
  }
  no_steps_ = "error";  // the shape of its results comes from the first step
}

void Fusion::ReadStates() {
  const Extent batch = DimensionOf(flow_, flow_.Input(flow_.Resolve(node_->input(loop_.x)), 0), 1);
  bool zeros = true;
  for (const int i : {loop_.h, loop_.c}) {
    if (i < 0) continue;
    const Value state = InputOfLoop(i);
    for (const char* op : {"ReadVariableOp", "VariableV2", "Variable"}) {
      Require(!state.Is(op), "its initial state is a variable, as in a stateful layer");
    }
    Require(state.known(), "its initial state can't be found");
    const Value shape = flow_.Input(state, 0);
    zeros = zeros && state.Is("Fill") && RepeatedNumber(flow_.Input(state, 1)) == 0.0F && shape.Is("Pack") &&
            CountDataInputs(*shape.node) == 2 && ReadExtent(flow_, flow_.Input(shape, 0)) == batch &&
            Integer(flow_.Input(shape, 1)) == loop_.step.units;
    states_.push_back(Name(state));
  }
  if (zeros) states_.clear();
}

void Fusion::ReadOutputs() {
  for (int i = 0; i < CountDataInputs(*node_); ++i) {
    if (loop_.stays[static_cast<std::size_t>(i)] || i == loop_.h || i == loop_.c) continue;
    const char* const why =
        i == loop_.previous ? "the result that it carries is read" : "its counter is read";
    Require(i == loop_.y || Uses(*node_, i).empty(), why);
  }
  if (loop_.y >= 0) ReadResultUses();
}

void Fusion::ReadResultUses() {
  for (const Use& use : DirectUses(*node_, loop_.y)) {
    const Value stack{use.node, 0};
    Require(stack.Is("TensorListStack") && Attr(stack, "element_dtype").type() == tf::DT_FLOAT,
            "its list of results is not made a tensor");
    const tf::AttrValue* elements = FindAttr(*stack.node, "num_elements");
    const std::int64_t count = elements == nullptr ? -1 : elements->i();
    Require(count == -1 || count == (loop_.y_all ? loop_.trips.number : 1),
            "its list of results is thought to have another length");
    stacks_.push_back(use.node);
    if (no_steps_ != "error") no_steps_ = HasShapeWithoutSteps(*use.node) ? "zeros" : "error";
    stack_is_read_ = stack_is_read_ || Kept(*use.node);
    for (const Use& reader : Uses(*use.node, 0)) {
      const Value value{reader.node, 0};
      if (reader.input == 0 && IsLast(flow_, value, !loop_.y_all)) {
        lasts_.push_back(reader.node);
        if (loop_.y_all) no_steps_ = "error";  // there is no last step
      } else if (reader.input == 0 && IsBatchTranspose(flow_, value)) {
        transposes_.push_back(reader.node);
      } else {
        stack_is_read_ = true;
      }
    }
  }
  if (!loop_.y_all || stack_is_read_ || transposes_.size() != 1 || Kept(*transposes_[0])) return;
  // Bidirectional reverses the results of its backward half.
  for (const Use& reader : Uses(*transposes_[0], 0)) {
    if (reader.input != 0 || !IsReverse(flow_, {reader.node, 0}, 1)) return reverses_.clear();
    reverses_.push_back(reader.node);
  }
}

// The shape of elements that were never written comes from the list's maker and reader; if they leave a size
// open, reading fails.
bool Fusion::HasShapeWithoutSteps(const tf::NodeDef& stack) {
  const auto made = Integers(flow_.Input(InputOfLoop(loop_.y), 0));
  const auto read = Integers(flow_.Input({&stack, 0}, 1));
  if (!made || !read) return true;  // it is computed, from sizes known at run time
  const auto known = [](const std::vector<std::int64_t>& shape, std::size_t i) {
    return shape.size() == 2 && shape[i] >= 0;
  };
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    if (!known(*made, i) && !known(*read, i)) return false;
  }
  rows_without_steps_ = known(*made, 0) ? made->at(0) : read->at(0);
  return true;
}

tf::NodeDef* Fusion::AddNode(const std::string& name, const char* op,
                             const std::vector<std::string>& inputs) {
  tf::NodeDef* added = graph_.Add(node_->name() + "/" + name, op, inputs);
  added->set_device(node_->device());
  return added;
}

// The name of a tensor of the graph; `constant` becomes false if it could be changed in place, or fed.
std::string Fusion::NameOfWeight(const Value& value, bool* constant) const {
  *constant = *constant && (value.Is("Const") || value.Is("ReadVariableOp")) && !Kept(*value.node);
  return Name(value);
}

std::string Fusion::WeightInput(const Weight& weight, bool* constant) {
  if (weight.constant != nullptr) {
    tf::NodeDef* copy = AddNode("weight", "Const");
    *copy->mutable_attr() = weight.constant->attr();
    return copy->name();
  }
  const Value input = InputOfLoop(weight.argument);
  if (!weight.variable) return NameOfWeight(input, constant);
  std::vector<std::string> inputs{Name(input)};
  std::copy_if(node_->input().begin(), node_->input().end(), std::back_inserter(inputs), IsControl);
  tf::NodeDef* read = AddNode("read", "ReadVariableOp", inputs);
  (*read->mutable_attr())["dtype"].set_type(tf::DT_FLOAT);
  return read->name();
}

void Fusion::Redirect(int index, const std::string& source, const tf::NodeDef& node) {
  for (const Use& use : DirectUses(node, index)) graph_.SetInput(use.node, use.input, source);
}

void Fusion::PassOn(tf::NodeDef* node, const std::string& source) {
  graph_.Become(node, "Identity", {source});
  (*node->mutable_attr())["T"].set_type(tf::DT_FLOAT);
  if (!HasControlInputs(*node)) Redirect(0, source, *node);
}

// All nodes stay valid, even those without readers.
void Fusion::MoveResults() {
  const std::string y = node_->name(), last = Reference(node_->name(), IsLstm() ? 3 : 2);
  for (tf::NodeDef* reader : lasts_) PassOn(reader, last);
  if (!loop_.y_all) {
    tf::NodeDef* axis = graph_.AddConstant(node_->name() + "/axis", tf::Tensor(std::int32_t{0}));
    axis->set_device(node_->device());
    for (tf::NodeDef* stack : stacks_) {
      graph_.Become(stack, "ExpandDims", {last, axis->name()});
      (*stack->mutable_attr())["T"].set_type(tf::DT_FLOAT);
      (*stack->mutable_attr())["Tdim"].set_type(tf::DT_INT32);
    }
    return;
  }
  for (tf::NodeDef* stack : stacks_) {
    if (stack_is_read_ || transposes_.empty()) {
      PassOn(stack, y);
      continue;
    }
    const tf::NodeDef& transpose = *transposes_[0];
    graph_.Become(stack, "Transpose", {y, transpose.input(1)});
    *stack->mutable_attr() = transpose.attr();
  }
  if (stack_is_read_) return;
  for (tf::NodeDef* transpose : transposes_) {
    if (reverses_.empty()) {
      PassOn(transpose, y);
      continue;
    }
    graph_.Become(transpose, "ReverseV2", {y, reverses_[0]->input(1)});
    *transpose->mutable_attr() = reverses_[0]->attr();
    graph_.SetInput(stacks_[0], 0, transpose->name());
  }
  for (tf::NodeDef* reverse : reverses_) PassOn(reverse, y);
}

// The inputs of the op that are biases.
std::vector<std::string> Fusion::BiasInputs(bool* constant) {
  std::vector<std::string> inputs;
  if (loop_.step.bias.size() == 2) {
    // Keras 2 splits one matrix before the loop; the op reads the matrix.
    Value rows[2];
    for (int i = 0; i < 2; ++i) {
      const Weight& bias = loop_.step.bias[static_cast<std::size_t>(i)];
      if (bias.argument >= 0 && !bias.variable) rows[i] = InputOfLoop(bias.argument);
    }
    if (rows[0].Is("Unpack") && rows[0].node == rows[1].node && rows[0].index == 0 && rows[1].index == 1) {
      const Value matrix = flow_.Input(rows[0], 0, &controls_);
      if (Attr(rows[0], "num").i() == 2 && matrix.known()) return {NameOfWeight(matrix, constant)};
    }
  }
  for (const Weight& bias : loop_.step.bias) inputs.push_back(WeightInput(bias, constant));
  return inputs;
}

std::string Fusion::Apply() {
  const RecurrentStep& step = loop_.step;
  bool constant = true;
  rnn::NodeInputs from;
  from.x = Name(x_);
  from.kernel = WeightInput(step.kernel, &constant);
  from.recurrent_kernel = WeightInput(step.recurrent, &constant);
  from.biases = BiasInputs(&constant);
  from.states = states_;
  if (loop_.mask >= 0) from.mask = Name(mask_);
  std::sort(controls_.begin(), controls_.end());
  controls_.erase(std::unique(controls_.begin(), controls_.end()), controls_.end());
  from.controls = controls_;
  rnn::NodeOptions options;
  options.mask_time_major = mask_time_major_;
  options.masked_is_zero = loop_.masked_result >= 0;
  options.time_major = time_major_;
  options.y_time_major = stack_is_read_;
  options.reverse = reverse_;
  options.reverse_y = !reverses_.empty();
  options.sequence = loop_.y_all && (stack_is_read_ || !transposes_.empty());
  options.steps = loop_.trips.number;
  options.cache_weights = constant;
  options.no_steps = no_steps_;
  options.rows_without_steps = rows_without_steps_;
  tf::NodeDef op = rnn::NetworkNode(step.cell, from, options);
  op.set_name(node_->name());
  op.set_device(node_->device());

  // Readers of unchanged values stop reading the loop first, because its outputs will have another meaning.
  std::vector<std::string> inputs(node_->input().begin(), node_->input().end());
  const std::string name = node_->name();
  for (int i = 0; i < static_cast<int>(loop_.stays.size()); ++i) {
    if (loop_.stays[static_cast<std::size_t>(i)]) Redirect(i, inputs[static_cast<std::size_t>(i)], *node_);
  }
  // A state's new output number may be another output's old one, so both are collected before either changes.
  const std::vector<Use> h_uses = DirectUses(*node_, loop_.h);
  const std::vector<Use> c_uses = loop_.c < 0 ? std::vector<Use>() : DirectUses(*node_, loop_.c);
  for (const Use& use : h_uses) graph_.SetInput(use.node, use.input, Reference(name, 1));
  for (const Use& use : c_uses) graph_.SetInput(use.node, use.input, Reference(name, 2));
  MoveResults();
  *node_ = op;
  return IsLstm() ? "LSTM" : "GRU";
}

}  // namespace savedmodel::engine
