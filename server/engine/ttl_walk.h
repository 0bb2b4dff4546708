// A queue's TTL became shorter, or there is one now: of what waits, some expires before its hint says. The
// walk goes over all the queue's messages once, in shares, and moves their hints; what is overdue expires. A
// TTL that became longer needs no walk: hints that come up too early are moved then (Expirer).
//
// The same when the clock was set back: then what this life has delayed, or given a TTL, is due sooner than
// its rows say (ClockSteps).
//
// Whoever delivers looks at the deadline itself, so only the counts of what is overdue lag behind, by as long
// as the walk takes. It may miss no message: one that is written elsewhere while it goes gets its hint moved
// with that (LifeCycle), and Queue::hints_are_late is stored until it has come to the end, so that the next
// life of the broker begins it again.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/reads.h"

namespace baton {

class TtlWalk {
 public:
  TtlWalk(BrokerState* state, LifeCycle* life_cycle, Locator* locator, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator), reads_(*reads) {}

  // From the first message on, also when it was under way. The caller stores the queue's definition.
  void Begin(Queue& queue);
  // Goes on with the first of the queues, in each turn.
  void Tick(Instant now);
  void OnClockMoved();
  // When to go on if nothing else happens before.
  Instant NextDue(Instant now) const;

 private:
  // Messages on their way to be looked at again.
  struct Share {
    uint64_t walk = 0;
    size_t left = 0;
    std::string next;                    // the key behind them
    std::optional<std::string> refused;  // the first that had no room in its turn
    bool is_last = false;                // of this kind of rows
    Duration pause = Duration(0);        // before the next
  };

  void Restart();
  void Miss(const Queue& queue);
  void ReadOn(const Queue& queue);
  void OnRows(QueueId number, uint64_t walk, const ReadResult& result, Instant now);
  void Correct(Message* message, QueueId number, const std::string& key, Share& share, Instant now);
  void EndShare(const Share& share, Instant now);
  void EndKind(Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;

  std::deque<QueueId> queues_;  // the first one is under way
  uint64_t walk_ = 0;           // what was begun for an earlier one means nothing
  RowKind kind_ = RowKind::kReady;
  std::string from_;          // the next row; empty: the first of its kind
  bool busy_ = false;         // a share is on its way
  bool passed_over_ = false;  // some, for want of shared memory: the walk begins again
  bool skips_damage_ = false;
  bool missed_some_ = false;  // for they could not be read: the queue is walked again later
  std::deque<std::pair<Instant, QueueId>> again_;
  Instant resume_;
};

}  // namespace baton
