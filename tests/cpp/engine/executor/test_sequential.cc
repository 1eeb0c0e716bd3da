// SPDX-License-Identifier: Apache-2.0
// The sequential executor: outputs that a kernel does not set. TensorFlow's own kernels set all outputs that
// are read, so this test has one that does not.
#include <gtest/gtest.h>

#include "engine/executor/sequential.h"
#include "savedmodel/error.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tests/cpp/graph_builder.h"

namespace savedmodel::engine {
namespace {
namespace tf = tensorflow;
using testing::GraphBuilder;

REGISTER_OP("TestHalf").Input("x: float").Output("made: float").Output("missing: float");

class HalfOp : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(tf::OpKernelContext* context) override { context->set_output(0, context->input(0)); }
};
REGISTER_KERNEL_BUILDER(Name("TestHalf").Device(tf::DEVICE_CPU), HalfOp);

class Sequential : public ::testing::Test {
 protected:
  std::vector<tf::Tensor> Run(const std::string& fetch) {
    tf::SessionOptions options;
    session_.reset(tf::NewSession(options));
    const tf::DeviceMgr* devices = nullptr;
    EXPECT_TRUE(session_->LocalDeviceManager(&devices).ok());
    std::string why_not;
    const auto executor = MakeExecutor(MakeExecutable(b_.graph(), {x_ + ":0"}, {fetch}, options, *devices),
                                       devices->ListDevices().front(), nullptr, &stateful_, &why_not);
    EXPECT_NE(executor, nullptr) << why_not;
    EXPECT_STREQ(executor->name(), "sequential");
    tf::CancellationManager cancellation;
    std::vector<tf::Tensor> results;
    executor->Run({value_}, &results, &cancellation);
    return results;
  }
  // TensorFlow's executor and the sequential one give the same message.
  void ExpectMissing(const std::string& fetch) {
    std::string message;
    try {
      Run(fetch);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInternal);
      message = error.what();
    }
    EXPECT_NE(message.find("Missing 1-th output from"), std::string::npos) << message;
    std::vector<tf::Tensor> results;
    ASSERT_TRUE(session_->Create(b_.graph()).ok());
    const auto status = session_->Run({{x_, value_}}, {fetch}, {}, &results);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_NE(status.message().find("Missing 1-th output from"), std::string::npos) << status;
  }

  GraphBuilder b_;
  const std::string x_ = b_.Feed({3});
  const std::string half_ = b_.Op("TestHalf", {x_}, {}, false);
  StatefulKernels stateful_;
  const tf::Tensor value_ = testing::Numbers({3}, 1);
  std::unique_ptr<tf::Session> session_;
};

TEST_F(Sequential, AMissingOutputThatNobodyReads) {
  const auto results = Run(b_.Op("Identity", {half_}) + ":0");
  ASSERT_EQ(results.size(), 1);
  EXPECT_EQ(results[0].DebugString(), value_.DebugString());
}

TEST_F(Sequential, AMissingOutputThatIsFetched) { ExpectMissing(half_ + ":1"); }

TEST_F(Sequential, AMissingOutputThatAKernelReads) { ExpectMissing(b_.Op("Neg", {half_ + ":1"}) + ":0"); }

TEST_F(Sequential, AMissingOutputThatIsPassedOn) { ExpectMissing(b_.Op("Identity", {half_ + ":1"}) + ":0"); }

}  // namespace
}  // namespace savedmodel::engine
