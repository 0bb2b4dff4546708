#include "client/session/short_slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <tuple>

namespace baton::client {
namespace {

// As the kernel has it since 3.14; the C library does not declare it.
struct SchedAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;  // of SCHED_OTHER: the slice, in nanoseconds
  uint64_t deadline;
  uint64_t period;
};
constexpr uint64_t kResetOnFork = 1;
constexpr uint64_t kSliceNanos = 100'000;  // the shortest there is

}  // namespace

void AskForShortSlices() {
  SchedAttributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;  // somebody has chosen otherwise
  attributes.size = sizeof(attributes);
  attributes.flags |= kResetOnFork;
  attributes.runtime = kSliceNanos;
  // allowed to fail: it is a wish
  std::ignore = syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace baton::client
