// What a publish over a queue's limits meets: a refusal, or the oldest message of the lowest priority makes
// room.
//
// The victim is in memory when nothing is spilled. Otherwise only the disk can name it: the publish is taken,
// the queue is over its limit for as long as the read takes, and a bounded number of messages only; beyond
// that publishers are refused.
#pragma once

#include <string>

#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/reads.h"

namespace baton {

class Overflow {
 public:
  Overflow(BrokerState* state, LifeCycle* life_cycle, Locator* locator, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator), reads_(*reads) {}

  // Before a message of so many bytes is stored. QUEUE_FULL when it may not be.
  absl::Status MakeRoom(Queue& queue, uint64_t bytes, Instant now);

 private:
  // Would it be over its limits with so much? Is it now?
  static bool IsOver(const Queue& queue, uint64_t messages, uint64_t bytes);
  static bool IsOverNow(const Queue& queue);
  absl::Status MakeRoomInMemory(Queue& queue, uint64_t bytes, Instant now);
  // REQUIRES: something is ready in memory.
  static Message& OldestOfLowest(Queue& queue);
  void Evict(Message& victim, Instant now);

  // On disk: the lowest rank with a message that is not leased, then its oldest ones, until the queue is
  // within its limits or nothing can go. One search at a time per queue.
  void SeekVictims(Queue& queue);
  void ReadLowestRank(const Queue& queue, std::string before);
  void OnLowestRank(QueueId number, const ReadResult& result);
  void ReadVictims(const Queue& queue, std::string from);
  void OnVictims(QueueId number, const ReadResult& result, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;
};

}  // namespace baton
