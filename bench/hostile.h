// What hostile clients do to a well-behaved pair: its latency alone, and beside each kind of them.
#pragma once

#include "bench/scenarios.h"

namespace baton::bench {

// A pair at 1,000 messages/s on a memory queue and on a durable one: alone, beside a process that only takes
// processor time, beside each kind of intruder, beside consumers that are stopped, alone again.
int Hostile(const ScenarioOptions& options);

}  // namespace baton::bench
