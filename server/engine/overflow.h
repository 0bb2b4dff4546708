// What a publish over a queue's limits meets: a refusal, or the oldest message of the lowest priority makes
// room.
//
// The victim is in memory when nothing is spilled. Otherwise only the disk can name it: the publish is taken,
// and the queue is over its limit for as long as the read takes, by a bounded number of messages and bytes;
// beyond that publishers wait (MustWait). The same when more must go than one commit should hold. They are
// refused when nothing can go.
//
// What nobody can refuse (dead letters of other queues, limits that were lowered) is over the limits until
// the next turns: then the oldest go likewise (BrokerState::KeepLimits). Where the policy is to refuse, it
// stays.
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

  // How there is room for one more message. Holds until something else happens to the queue.
  struct Plan {
    enum class Ends : uint8_t {
      kNoRoom,
      kWithin,  // its limits
      kOver,    // them, until victims are found or there is room in a turn
    };
    absl::Status refusal = absl::OkStatus();  // QUEUE_FULL and others: it may not be stored
    std::vector<Message*> victims = {};       // they go first
    bool seeks = false;                       // others are to be looked for on disk
    Ends ends = Ends::kNoRoom;
  };
  // For a message of so many bytes. Changes nothing, but that shared memory may be asked for more room.
  Plan PlanRoom(Queue& queue, uint64_t bytes) const;
  // Before the message is stored, if it may be.
  void Apply(Queue& queue, const Plan& plan, uint64_t bytes, Instant now);
  // It has taken as much over its limits as it may, and what makes room is on its way.
  static bool MustWait(const Queue& queue);
  // Goes on with the queues that are over their limits, in each turn.
  void Tick(Instant now);
  // When to go on if nothing else happens before.
  Instant NextDue(Instant now) const;

 private:
  static bool MayBeOver(const Queue& queue);
  static void IsWithin(Queue& queue);
  // From memory, as many as it takes and this turn may hold.
  void EvictResident(Queue& queue, Instant now);
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
  // What there is to be room for.
  struct Wanted {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t shared_memory = 0;  // to be freed
  };
  // Changes nothing. REQUIRES: nothing ready is spilled.
  Victims Choose(Queue& queue, const Wanted& wanted) const;
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
  void ReadVictims(const Queue& queue, ReadyPosition from);
  void OnVictims(QueueId number, const ReadResult& result, Instant now);
  void EndSearch(Queue& queue);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;
};

}  // namespace baton
