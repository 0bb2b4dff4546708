// Keeps memory bounded and the windows filled: reads ahead what takers will need, gives up tails when over
// budget, wakes delayed messages that are due. In chunks, with hysteresis; queues without takers give up
// first.
#pragma once

#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/reads.h"
#include "server/engine/window_reader.h"

namespace baton {

class Residency {
 public:
  Residency(BrokerState* state, LifeCycle* life_cycle, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), reads_(*reads) {}

  // Reads ahead for a queue with takers whose window runs low.
  void RefillReady(Queue& queue);
  // Wakes what is due, reads ahead what soon will be, and what there was no room for or could not be read.
  void Tick(Instant now);
  Instant NextDue(Instant now) const;
  // Puts the queue's next due time into the schedule. After every change of its delayed messages.
  void Schedule(Queue& queue, Instant now);
  // Gives up tails until the windows are within their budget, or nothing more can go.
  void Evict(Instant now);
  // A read completed, or memory was given back: whoever waited for room tries again.
  void RetryWaiting(Instant now);
  void OnClockMoved(Duration by, Instant now);

 private:
  void WakeDue(Instant now);
  // Queues whose rows could not be read try again, now and then: it need not have been the disk's last word.
  void RetryDamaged(Instant now);
  void RefillDelayed(Queue& queue, Instant now);
  void OnReadyRows(QueueId number, uint64_t flight, ReadResult result, Instant now);
  void TakeDelayed(Queue& queue, ReadResult result, Instant now);
  void OnDelayedRows(QueueId number, uint64_t flight, ReadResult result, Instant now);
  // The messages of the rows that can be read and understood, up to the first that cannot, where the result
  // is cut off. Where the queue skips damage, nullptr stands for each that cannot. As many as result.rows
  // then, whose keys are those of a window. ERRORS: there is none before the first that cannot.
  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Understand(Queue& queue, ReadResult& result);
  // nullptr: it is damage, for another message has its id. Its window ends there, or, where the queue skips
  // damage, it is left out.
  Message* Admit(std::unique_ptr<Message> message, bool& awaits_repair, Instant now);
  // Delivery stands still until it is tried again.
  void NoteDamage(Queue& queue, bool& awaits_repair, absl::Status why, Instant now);
  // A window that holds everything there is, and a ledger that counts `missing` rows more. The process ends,
  // or, where the queue skips damage, the messages are counted as lost.
  void Disagree(Queue& queue, std::string_view what, uint64_t missing, RowCount& count, uint64_t bytes);

  enum class Urgency : uint8_t { kAhead, kWaitedFor };
  bool HasRoom(const Chunk& chunk, Urgency urgency);

  static Instant ReadDelayedFrom(const Queue& queue);
  bool MayEvict(const Message& last) const;
  size_t EvictReady(Queue& queue, size_t bytes, size_t& units);
  size_t EvictDelayed(Queue& queue, size_t bytes, size_t& units, Instant now);
  bool GiveUp(size_t bytes, EvictionIndex::Cost dearest, size_t least_used, size_t& units);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Reads& reads_;
  WorkList<&Queue::in_awaiting_read> waiting_;  // for room to read
  std::vector<QueueId> damaged_;                // those that wait until
  Instant next_retry_ = kNever;
  Instant now_;        // of this turn
  bool over_ = false;  // the budget, and there is more to give up
};

}  // namespace baton
