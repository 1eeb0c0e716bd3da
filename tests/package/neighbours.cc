// SPDX-License-Identifier: Apache-2.0
// A service with a protobuf and a gRPC of its own, built with whatever allocator or sanitizer the test asks
// for.
#include <google/protobuf/struct.pb.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <savedmodel/savedmodel.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#ifdef REPLACE_NEW
// Marks what it gives: to free what another allocator gave, or to leave it to another one, ends the process.
namespace {
constexpr std::uintptr_t kMark = 0x5a7edd0de1;

void* Take(std::size_t size, std::size_t alignment) {
  if (alignment < 16) alignment = 16;
  void* raw = std::malloc(size + alignment + 16);
  if (raw == nullptr) throw std::bad_alloc();
  const auto at = (reinterpret_cast<std::uintptr_t>(raw) + 15 + alignment) / alignment * alignment;
  reinterpret_cast<std::uintptr_t*>(at)[-1] = kMark;
  reinterpret_cast<void**>(at)[-2] = raw;
  return reinterpret_cast<void*>(at);
}

void Give(void* pointer) {
  if (pointer == nullptr) return;
  auto* mark = static_cast<std::uintptr_t*>(pointer) - 1;
  if (*mark != kMark) {
    std::fputs("this allocator did not give that memory\n", stderr);
    std::abort();
  }
  *mark = 0;
  std::free(static_cast<void**>(pointer)[-2]);
}
}  // namespace

void* operator new(std::size_t n) { return Take(n, 16); }
void* operator new[](std::size_t n) { return Take(n, 16); }
void* operator new(std::size_t n, std::align_val_t a) { return Take(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return Take(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { Give(p); }
void operator delete[](void* p) noexcept { Give(p); }
void operator delete(void* p, std::size_t) noexcept { Give(p); }
void operator delete[](void* p, std::size_t) noexcept { Give(p); }
void operator delete(void* p, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { Give(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { Give(p); }
#endif

namespace {

void UseModel(const std::string& path) {
  auto model = savedmodel::Model::Load(path);
  auto f = model.function("serving_default");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&f] {
      for (int call = 0; call < 10; ++call) {
        auto x = savedmodel::Tensor::Empty(savedmodel::DType::kFloat32, {1, 64});
        for (float& value : x.mutable_values<float>()) value = 0.5f;
        if (f.Run({x})[0].data<float>()[0] < 0) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  try {
    savedmodel::Model::Load(path + "/nothing");
  } catch (const savedmodel::Error& error) {
    std::cout << savedmodel::CodeName(error.code()) << "\n";
  }
  model.Close();
}

}  // namespace

int main(int, char** argv) {
  google::protobuf::Struct message;
  (*message.mutable_fields())["answer"].set_number_value(42);
  grpc_init();
  grpc_completion_queue* queue = grpc_completion_queue_create_for_next(nullptr);
  grpc_server* server = grpc_server_create(nullptr, nullptr);
  grpc_server_register_completion_queue(server, queue, nullptr);
  grpc_server_credentials* credentials = grpc_insecure_server_credentials_create();
  const int port = grpc_server_add_http2_port(server, "127.0.0.1:0", credentials);
  grpc_server_start(server);

  for (int round = 0; round < 2; ++round) UseModel(argv[1]);

  grpc_server_shutdown_and_notify(server, queue, nullptr);
  const grpc_event event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
  grpc_server_credentials_release(credentials);
  grpc_server_destroy(server);
  grpc_completion_queue_shutdown(queue);
  while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr).type !=
         GRPC_QUEUE_SHUTDOWN) {
  }
  grpc_completion_queue_destroy(queue);
  grpc_shutdown();
  std::cout << "done " << (port > 0) << event.success << " " << message.SerializeAsString().size()
            << std::endl;
}
