// Takes all messages out of a queue. What is more than a turn should do is done in shares: of a queue on disk
// what is in memory is given up first, and the rest goes as a range; of a memory queue all but a share go one
// by one, for its store has to look at each. Meanwhile nobody is given its messages, and what is published to
// it waits (Queue::purges); whatever else happens to them may happen. The ledger is exact after each turn, so
// a broker that is killed meanwhile has taken out a part.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "server/engine/life_cycle.h"
#include "server/engine/locator_sweep.h"
#include "server/engine/reads.h"

namespace baton {

class Purger {
 public:
  // In the turn in which the last message goes; null: the queue went before.
  using Then = absl::AnyInvocable<void(Queue* queue, uint64_t messages)>;

  Purger(BrokerState* state, LifeCycle* life_cycle, LocatorSweep* sweep, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), sweep_(*sweep), reads_(*reads) {}

  // At once, when it is little; else after the purges of the queue before.
  void Purge(Queue& queue, Then then);

 private:
  struct Job {
    QueueId queue;
    uint64_t messages = 0;  // that are gone
    uint64_t most = 0;      // there were so many at first; then it ends, whatever has come meanwhile
    Then then;
  };
  using JobPtr = std::shared_ptr<Job>;

  bool IsLittle(const Queue& queue) const;
  void Defer(JobPtr job);
  // False: it goes on in the next turn.
  bool GoOn(const JobPtr& job);
  bool TakeResident(Queue& queue, Job& job);
  void TakeOne(Message& message, Job& job);
  void ReadMore(const JobPtr& job);
  void OnRows(const JobPtr& job, uint64_t removals, const ReadResult& result);
  void Finish(Queue& queue, Job& job);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  LocatorSweep& sweep_;
  Reads& reads_;
};

}  // namespace baton
