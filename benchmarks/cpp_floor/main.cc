// Times a bare Session::RunCallable loop: what TensorFlow itself costs, from C++.
// Speaks the protocol of benchmarks/child.py: JSON lines on stdin and stdout.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace {

using Clock = std::chrono::steady_clock;

// The same rules as in child.py.
constexpr std::int64_t kSampleNs = 20'000;
constexpr std::size_t kMinCalls = 3;

struct Input {
  std::string name;
  tensorflow::Tensor value;
};

struct Arguments {
  std::string model;
  int threads = 1;
  std::vector<Input> inputs;
};

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

// `shape` is "1x224x224x3"; the file holds raw float32.
tensorflow::Tensor ReadTensor(const std::string& shape, const std::string& path) {
  tensorflow::TensorShape dimensions;
  std::istringstream sizes(shape);
  for (std::string size; std::getline(sizes, size, 'x');) dimensions.AddDim(std::stoll(size));
  tensorflow::Tensor tensor(tensorflow::DT_FLOAT, dimensions);
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(tensor.data()), static_cast<std::streamsize>(tensor.TotalBytes()));
  if (!file) throw std::runtime_error("cannot read " + path);
  return tensor;
}

Arguments Parse(int argc, char** argv) {
  Arguments result;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size();) {
    const auto value = [&](std::size_t offset) -> const std::string& { return words.at(i + offset); };
    if (words[i] == "--model") {
      result.model = value(1);
      i += 2;
    } else if (words[i] == "--threads") {
      result.threads = std::stoi(value(1));
      i += 2;
    } else if (words[i] == "--input") {
      result.inputs.push_back({value(1), ReadTensor(value(2), value(3))});
      i += 4;
    } else {
      throw std::runtime_error("unknown argument " + words[i]);
    }
  }
  return result;
}

class Floor {
 public:
  explicit Floor(const Arguments& arguments) {
    tensorflow::SessionOptions options;
    options.config.set_intra_op_parallelism_threads(arguments.threads);
    options.config.set_inter_op_parallelism_threads(arguments.threads);
    Check(tensorflow::LoadSavedModel(options, {}, arguments.model, {"serve"}, &bundle_));
    const auto& signature = bundle_.GetSignatures().at("serving_default");

    tensorflow::CallableOptions callable;
    callable.mutable_run_options()->set_inter_op_thread_pool(-1);  // run in the caller's thread
    for (const Input& input : arguments.inputs) {
      callable.add_feed(signature.inputs().at(input.name).name());
      feeds_.push_back(input.value);
    }
    for (const auto& [name, info] : signature.outputs()) {
      names_.push_back(name);
      callable.add_fetch(info.name());
    }
    Check(bundle_.GetSession()->MakeCallable(callable, &handle_));
  }

  void Call() { Check(bundle_.GetSession()->RunCallable(handle_, feeds_, &outputs_, nullptr)); }

  std::string Outputs() {
    Call();
    std::ostringstream text;
    text.precision(9);
    text << "{\"outputs\": {";
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      text << (i ? ", " : "") << '"' << names_[i] << "\": [";
      const auto values = outputs_[i].flat<float>();
      for (std::int64_t k = 0; k < values.size(); ++k) text << (k ? ", " : "") << values(k);
      text << ']';
    }
    text << "}}";
    return text.str();
  }

  std::string Round(double seconds);

 private:
  std::int64_t TimeNs(std::int64_t calls) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < calls; ++i) Call();
    return std::chrono::nanoseconds(Clock::now() - start).count();
  }

  std::int64_t GroupSize() {
    std::vector<std::int64_t> times;
    for (int i = 0; i < 15; ++i) times.push_back(TimeNs(1));
    std::sort(times.begin(), times.end());
    const std::int64_t median = std::max<std::int64_t>(1, times[7]);
    return std::max<std::int64_t>(1, (kSampleNs + median - 1) / median);
  }

  tensorflow::SavedModelBundleLite bundle_;
  tensorflow::Session::CallableHandle handle_ = 0;
  std::vector<tensorflow::Tensor> feeds_;
  std::vector<tensorflow::Tensor> outputs_;
  std::vector<std::string> names_;
  std::int64_t group_ = 0;
};

std::string Floor::Round(double seconds) {
  if (group_ == 0) group_ = GroupSize();
  const auto length = std::chrono::duration<double>(seconds);
  const auto warm = Clock::now() + length / 10;
  do Call();
  while (Clock::now() < warm);

  std::vector<std::int64_t> samples;
  const auto begin = Clock::now();
  while (Clock::now() - begin < length || samples.size() < kMinCalls) {
    samples.push_back(TimeNs(group_));
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  const double us = 1e-3 / static_cast<double>(group_);
  const double middle = static_cast<double>(samples[(n - 1) / 2] + samples[n / 2]) / 2;
  std::ostringstream text;
  text.precision(12);
  text << "{\"p50_us\": " << middle * us << ", \"min_us\": " << static_cast<double>(samples[0]) * us
       << ", \"calls\": " << static_cast<std::int64_t>(n) * group_ << ", \"seconds\": " << elapsed << '}';
  return text.str();
}

// The messages are flat objects that our own parent writes, so a search is parser enough.
std::string_view Field(std::string_view message, const std::string& key) {
  const auto at = message.find('"' + key + "\":");
  if (at == std::string_view::npos) throw std::runtime_error("no field " + key);
  message.remove_prefix(at + key.size() + 3);
  message.remove_prefix(std::min(message.find_first_not_of(" \""), message.size()));
  return message.substr(0, message.find_first_of(",}\""));
}

std::string Quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result + '"';
}

}  // namespace

int main(int argc, char** argv) {
  const auto send = [](const std::string& line) { std::cout << line << std::endl; };
  try {
    Floor floor(Parse(argc, argv));
    floor.Call();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    send("{\"ready\": true, \"peak_rss_mb\": " + std::to_string(usage.ru_maxrss / 1024.0) + "}");
    for (std::string line; std::getline(std::cin, line);) {
      const std::string_view command = Field(line, "command");
      if (command == "round") {
        send(floor.Round(std::stod(std::string(Field(line, "seconds")))));
      } else if (command == "outputs") {
        send(floor.Outputs());
      } else {
        throw std::runtime_error("unknown command " + std::string(command));
      }
    }
  } catch (const std::exception& error) {
    send("{\"error\": " + Quoted(error.what()) + "}");
    _exit(1);
  }
  _exit(0);  // what happens when TensorFlow is torn down is no part of any measurement
}
