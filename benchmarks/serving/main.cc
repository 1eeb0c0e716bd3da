// Asks a server of the Open Inference Protocol as fast as it answers, over N connections with one request
// each. One thread drives them all, the request is serialized once and answers are not parsed: what the
// client costs is told too. Speaks the protocol of benchmarks/child.py: JSON lines on stdin and stdout.

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "inference.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using google::protobuf::Struct;

constexpr char kMethod[] = "/inference.GRPCInferenceService/ModelInfer";
constexpr double kMessageBytes = 256 << 20;

struct Arguments {
  std::string target;
  inference::ModelInferRequest request;
};

Arguments Parse(const std::vector<std::string>& words) {
  Arguments result;
  for (std::size_t i = 0; i < words.size();) {
    if (words[i] == "--target") {
      result.target = words.at(i + 1);
      i += 2;
    } else if (words[i] == "--model") {
      result.request.set_model_name(words.at(i + 1));
      i += 2;
    } else if (words[i] == "--input") {  // name, datatype, shape as 1x224x224x3, file of raw contents
      auto* input = result.request.add_inputs();
      input->set_name(words.at(i + 1));
      input->set_datatype(words.at(i + 2));
      std::istringstream sizes(words.at(i + 3));
      for (std::string size; std::getline(sizes, size, 'x');) input->add_shape(std::stoll(size));
      std::ifstream file(words.at(i + 4), std::ios::binary);
      if (!file) throw std::runtime_error("cannot read " + words[i + 4]);
      result.request.add_raw_input_contents()->assign(std::istreambuf_iterator<char>(file), {});
      i += 5;
    } else {
      throw std::runtime_error("unknown argument " + words[i]);
    }
  }
  return result;
}

void Check(const grpc::Status& status) {
  if (!status.ok()) throw std::runtime_error("the server: " + status.error_message());
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// One connection with one request at a time.
class Connection {
 public:
  explicit Connection(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else channels share one connection
    arguments.SetMaxReceiveMessageSize(static_cast<int>(kMessageBytes));
    channel_ = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    channel_->GetState(/*try_to_connect=*/true);
    stub_ = std::make_unique<grpc::GenericStub>(channel_);
  }
  void AwaitConnected() const {
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60))) return;
    throw std::runtime_error("cannot connect to the server");
  }
  void Start(const grpc::ByteBuffer& request, grpc::CompletionQueue* queue) {
    start_ = Clock::now();
    context_ = std::make_unique<grpc::ClientContext>();
    reader_ = stub_->PrepareUnaryCall(context_.get(), kMethod, request, queue);
    reader_->StartCall();
    reader_->Finish(&answer_, &status_, this);
  }
  const grpc::ByteBuffer& answer() const {
    Check(status_);
    return answer_;
  }
  Clock::time_point start() const { return start_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::GenericStub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer answer_;
  grpc::Status status_;
  Clock::time_point start_;
};

class Driver {
 public:
  explicit Driver(const Arguments& arguments) : target_(arguments.target) {
    const grpc::Slice slice(arguments.request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
  }

  Struct Outputs() {
    Connection connection(target_);
    grpc::CompletionQueue queue;
    connection.Start(request_, &queue);
    Await(&queue);
    grpc::ByteBuffer answer = connection.answer();
    inference::ModelInferResponse response;
    grpc::ProtoBufferReader reader(&answer);
    if (!response.ParseFromZeroCopyStream(&reader)) throw std::runtime_error("the answer cannot be read");
    Struct result;
    auto& outputs = *(*result.mutable_fields())["outputs"].mutable_struct_value()->mutable_fields();
    for (int i = 0; i < response.outputs_size(); ++i) {
      const std::string& raw = response.raw_output_contents(i);
      std::vector<float> values(raw.size() / sizeof(float));
      std::memcpy(values.data(), raw.data(), values.size() * sizeof(float));
      auto* list = outputs[response.outputs(i).name()].mutable_list_value();
      for (const float value : values) list->add_values()->set_number_value(value);
    }
    return result;
  }

  // A tenth of `seconds` passes first. Latencies are those of requests that begin in the round, the rate is
  // that of answers in it.
  Struct Round(std::size_t connections, double seconds) {
    while (connections_.size() < connections) {  // they stay open for other rounds
      connections_.push_back(std::make_unique<Connection>(target_));
    }
    for (const auto& one : connections_) one->AwaitConnected();
    grpc::CompletionQueue queue;
    const auto length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const auto begin = Clock::now() + length / 10;
    const auto end = begin + length;
    std::vector<double> times;
    double cpu = -1;
    std::int64_t answers = 0;
    for (std::size_t i = 0; i < connections; ++i) connections_[i]->Start(request_, &queue);
    for (std::size_t active = connections; active > 0;) {
      Connection* one = Await(&queue);
      one->answer();
      const auto now = Clock::now();
      if (cpu < 0 && now >= begin) cpu = CpuSeconds();
      if (now >= begin && now < end) ++answers;
      if (one->start() >= begin) {
        times.push_back(std::chrono::duration<double, std::micro>(now - one->start()).count());
      }
      if (now < end || times.empty()) {
        one->Start(request_, &queue);
      } else {
        --active;
      }
    }
    std::sort(times.begin(), times.end());
    const auto at = [&](double part) {
      return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
    };
    const double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
    Struct result;
    auto& fields = *result.mutable_fields();
    fields["requests"].set_number_value(static_cast<double>(answers));
    fields["seconds"].set_number_value(seconds);
    fields["p50_us"].set_number_value(at(0.5));
    fields["p99_us"].set_number_value(at(0.99));
    fields["client_cores"].set_number_value((CpuSeconds() - cpu) / elapsed);
    return result;
  }

 private:
  static Connection* Await(grpc::CompletionQueue* queue) {
    void* tag = nullptr;
    bool ok = false;
    if (!queue->Next(&tag, &ok)) throw std::runtime_error("the queue has ended");
    return static_cast<Connection*>(tag);
  }

  std::string target_;
  grpc::ByteBuffer request_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

void Send(const Struct& message) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text).ok()) text = R"({"error": "no JSON"})";
  std::cout << text << std::endl;
}

Struct Told(const std::string& key, const std::string& text) {
  Struct message;
  (*message.mutable_fields())[key].set_string_value(text);
  return message;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Driver driver(Parse({argv + 1, argv + argc}));
    Send(Told("ready", "yes"));
    for (std::string line; std::getline(std::cin, line);) {
      Struct message;
      if (!google::protobuf::util::JsonStringToMessage(line, &message).ok()) {
        throw std::runtime_error("this is no JSON: " + line);
      }
      const auto& fields = message.fields();
      if (fields.at("command").string_value() == "round") {
        const auto connections = static_cast<std::size_t>(fields.at("connections").number_value());
        Send(driver.Round(connections, fields.at("seconds").number_value()));
      } else {
        Send(driver.Outputs());
      }
    }
  } catch (const std::exception& error) {
    Send(Told("error", error.what()));
    return 1;
  }
}
