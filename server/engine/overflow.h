// What a publish over a queue's limits meets: a refusal, or the oldest message of the lowest priority makes
// room.
//
// The victim is in memory when nothing is spilled. Otherwise only the disk can name it: the publish is taken,
// the queue is over its limit for as long as the read takes, and a bounded number of messages only; beyond
// that publishers are refused. The same when more must go than one commit should hold.
#pragma once

#include <string>
#include <vector>

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
  static absl::Status AdmitOver(Queue& queue);
  bool MayReplaceInMemory(const Queue& queue, uint64_t bytes) const;

  // Those that go for a message, the oldest of the lowest priority first.
  struct Victims {
    enum class End {
      kEnough,
      kNoneLeft,    // the others are leased or delayed
      kTurnIsFull,  // more may go in later turns
    };
    End end = End::kNoneLeft;
    std::vector<Message*> messages;
  };
  // Until a message of so many bytes fits, and so much of shared memory is freed. Changes nothing.
  // REQUIRES: nothing ready is spilled.
  Victims Choose(Queue& queue, uint64_t bytes, uint64_t memory_wanted);
  // What evicting it adds to the commit, at most or nearly.
  static size_t CostOf(const Message& victim);
  bool MayEvict(const Queue& queue) const;
  void Evict(Message& victim, Instant now);

  // On disk: the lowest rank with a message that is not leased, then its oldest ones, until the queue is
  // within its limits or nothing can go. One search at a time per queue.
  void SeekVictims(Queue& queue);
  void ReadLowestRank(const Queue& queue, std::string before);
  bool CouldNotRead(Queue& queue, const ReadResult& result);
  void OnLowestRank(QueueId number, const ReadResult& result);
  void ReadVictims(const Queue& queue, std::string from);
  void OnVictims(QueueId number, const ReadResult& result, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;
};

}  // namespace baton
