// Latency at a given rate, from the time a message should have been sent: a generator that is late counts its
// lateness. Beside it, in the same run, a bare relay of three processes over the same rings, which is what
// this machine's wake-ups cost.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/roles.h"
#include "bench/scenarios.h"
#include "bench/support.h"

namespace baton::bench {

// Memory, relaxed and durable queues over rings and over gRPC, and the relay, at 1,000 and 10,000 messages/s.
int OpenLoop(const ScenarioOptions& options);

// A pacer and a collector process; quantiles in microseconds, as they print them.
struct PairLatency {
  nlohmann::json delivered;
  nlohmann::json confirmed;
};
PairLatency MeasurePair(const ScenarioOptions& options, const BrokerProcess& broker, Role role,
                        Carrier carrier);

// A process that publishes at `rate` and prints the quantiles of its confirms; one that takes and acks, and
// prints those of its deliveries. {"p50":…, "p90":…, "p99":…, "max":…} in microseconds.
int RunPacer(const RoleOptions& options);
int RunCollector(const RoleOptions& options);

}  // namespace baton::bench
