// Knows whether the process was forked since: a forked child has the parent's memory and none of its threads,
// so it must not use the parent's connections, nor wait for threads that are not there, nor take locks they
// may have held.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace baton::client {

class ForkGuard {
 public:
  ForkGuard();

  // In a child forked after this guard was made. Costs one load: no system call.
  bool InChild() const;

  // FAILED_PRECONDITION in the child.
  absl::Status Check() const;

 private:
  uint64_t generation_;
};

// Says that this process is about to use gRPC. FAILED_PRECONDITION in a child of one that had: the two share
// gRPC's epoll set, so that calls of the child take the parent's events away, and locks of gRPC may be held
// by threads that are not there.
absl::Status BeginUsingGrpc();

}  // namespace baton::client
