// How memory_budget is divided. Each share is a bound that its owner keeps; what is not counted here (code,
// stacks, gRPC's buffers, the allocator's slack) is why a process takes up to about 1.7 times the budget.
#pragma once

#include <cstddef>
#include <cstdint>

namespace baton {

struct MemoryBudget {
  size_t windows = 0;       // the engine: resident messages, and what leads to those of memory queues
  size_t leased = 0;        // of these: leased ones (above it, one for each session)
  size_t store = 0;         // memtables, block cache, indexes
  size_t uncommitted = 0;   // commits handed over and not yet written
  size_t inbox = 0;         // posted and not yet handled
  size_t large_frames = 0;  // on their way through rings
  size_t outboxes = 0;      // deliveries and results that sessions have not taken yet
  size_t unsettled = 0;     // what is known of deliveries that sessions have not settled
  size_t producers = 0;     // what is known of them
  // Beyond the budget, as what is not counted.
  size_t answers = 0;  // of unary calls that have not been taken yet
  size_t grpc = 0;     // what gRPC reads and has not given us, and its calls
  size_t rings = 0;    // shared memory of local clients; above it new ones get the smallest rings

  static constexpr MemoryBudget Divide(uint64_t budget) {
    const auto eighth = static_cast<size_t>(budget / 8);
    return {.windows = 2 * eighth,
            .leased = eighth,
            .store = 3 * eighth,
            .uncommitted = eighth,
            .inbox = eighth / 2,
            .large_frames = eighth / 4,
            .outboxes = eighth * 3 / 4,
            .unsettled = eighth / 4,
            .producers = eighth / 4,
            .answers = eighth / 2,
            .grpc = 8 * eighth,
            .rings = eighth};
  }
};

}  // namespace baton
