// What /metrics shows, in Prometheus' terms. Names are part of the interface: docs/operations.md lists them.
//
// Cardinality is bounded: queues beyond the first BrokerInspector::kQueuesMax have no series of their own,
// only the broker's totals count them.
#pragma once

#include <string>
#include <vector>

#include "server/session/inspector.h"

namespace baton {

// In the text format that Prometheus scrapes.
std::string FormatMetrics(const BrokerReport& report, uint64_t memory_budget_bytes, uint64_t resident_bytes);

// Of this process, from /proc/self/statm; 0 when it cannot be read.
uint64_t ResidentBytes();

}  // namespace baton
