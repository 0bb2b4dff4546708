#include "client/transport/fork_guard.h"

#include <pthread.h>

#include <atomic>

#include "base/error.h"

namespace baton::client {
namespace {

// How many forks lie between the first process and this one. A global, because pthread_atfork knows only
// functions.
std::atomic<uint64_t> fork_generation{0};

void CountFork() { fork_generation.fetch_add(1, std::memory_order_relaxed); }

// One more than the fork_generation of the process that used gRPC first; 0 = none has.
std::atomic<uint64_t> grpc_generation{0};

void InstallOnce() {
  static const int installed = ::pthread_atfork(nullptr, nullptr, CountFork);
  (void)installed;  // ENOMEM at worst; then children are not detected
}

}  // namespace

ForkGuard::ForkGuard() : generation_((InstallOnce(), fork_generation.load(std::memory_order_relaxed))) {}

bool ForkGuard::InChild() const { return fork_generation.load(std::memory_order_relaxed) != generation_; }

absl::Status ForkGuard::Check() const {
  if (!InChild()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, reason::kClientForked,
      "this process was forked after the client had connected, and a connection is not inherited; "
      "call Client::Connect in the child");
}

absl::Status BeginUsingGrpc() {
  InstallOnce();
  const uint64_t here = fork_generation.load(std::memory_order_relaxed) + 1;
  uint64_t first = 0;
  if (grpc_generation.compare_exchange_strong(first, here, std::memory_order_relaxed) || first == here)
    return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kClientForked,
                   "this process was forked by one that had used gRPC, which does not survive that: unary "
                   "calls and grpc addresses cannot be used here; producers and consumers over rings (unix:) "
                   "can; or fork before the first client is made, or start the child with exec");
}

}  // namespace baton::client
