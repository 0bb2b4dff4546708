// What a queue counts, against the model and against itself.
#include "base/check.h"
#include "tests/support/engine_simulation.h"

namespace baton {

void EngineSimulation::CheckCounts() {
  for (const std::string& queue : queues_) {
    const QueueInfo info = Info(queue);
    const BrokerModel::Counts counts = model_.CountsOf(queue);
    BATON_CHECK_EQ(info.leased, counts.leased) << queue;
    BATON_CHECK_EQ(info.parked, counts.parked) << queue;
    BATON_CHECK_EQ(info.bytes, counts.bytes) << queue;
    BATON_CHECK_EQ(info.ready + info.delayed, counts.ready + counts.delayed) << queue;
    const uint64_t there = info.ready + info.leased + info.delayed + info.parked;
    BATON_CHECK_EQ(info.counters.came(), info.counters.left() + there) << queue;
    if (counts.perhaps_delayed == 0) BATON_CHECK_EQ(info.ready, counts.ready) << queue;
  }
}

}  // namespace baton
