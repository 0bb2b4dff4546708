// Keeps memory bounded and the windows filled: reads ahead what takers will need, gives up tails when over
// budget, wakes delayed messages that are due. In chunks, with hysteresis; queues without takers give up
// first.
#pragma once

#include <deque>

#include "server/engine/life_cycle.h"
#include "server/engine/reads.h"

namespace baton {

class Residency {
 public:
  Residency(BrokerState* state, LifeCycle* life_cycle, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), reads_(*reads) {}

  // Reads ahead for a queue with takers whose window runs low.
  void RefillReady(Queue& queue);
  // Wakes what is due, and reads ahead what soon will be.
  void WakeDue(Instant now);
  // Puts the queue's next due time into the schedule. After every change of its delayed messages.
  void Schedule(Queue& queue, Instant now);
  // Gives up tails until the windows are within their budget, or nothing more can go.
  void Evict(Instant now);
  // A read completed: whoever waited for room tries again.
  void RetryWaiting(Instant now);

 private:
  void RefillDelayed(Queue& queue, Instant now);
  void OnReadyRows(QueueId number, uint64_t flight, ReadResult result);
  void OnDelayedRows(QueueId number, uint64_t flight, ReadResult result, Instant now);
  // nullptr: the row makes no sense (the state has failed).
  Message* Admit(Queue& queue, const Row& row);

  bool MayEvict(Queue& queue) const;
  // At most so many stay; the rest of the window goes.
  void EvictReady(Queue& queue, size_t keep);
  void EvictDelayed(Queue& queue, size_t keep, Instant now);
  bool EvictSome(Instant now);

  size_t low_water() const { return (state_.options.chunk_rows + 1) / 2; }

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Reads& reads_;
  void WaitForRoom(Queue& queue);
  std::deque<QueueId> waiting_;  // for room to read
};

}  // namespace baton
