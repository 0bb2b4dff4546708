// Clients over rings that mean no good, as a process of their own: what they do to others is what is measured
// beside them (hostile.h). tests/stress says what becomes of themselves.
#pragma once

#include <span>

#include "bench/roles.h"

namespace baton::bench {

struct Mischief {
  const char* name;  // for options.kind
  const char* help;
};
std::span<const Mischief> Mischiefs();

// Does it over and over until this process is killed, or the one that started it has gone. {"url", "kind",
// "queue": one with messages, for those that take and do not read}
int RunIntruder(const RoleOptions& options);

}  // namespace baton::bench
