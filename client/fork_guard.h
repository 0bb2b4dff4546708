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

}  // namespace baton::client
