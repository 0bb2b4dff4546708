// What the turn's commit tells of the broker itself, beside what happened to messages: the ledgers of queues
// that changed, what producers have published, the epoch, the clock.
#pragma once

#include "server/engine/broker_state.h"
#include "server/engine/residency.h"

namespace baton {

class BrokerRows {
 public:
  BrokerRows(BrokerState* state, Residency* residency) : state_(*state), residency_(*residency) {}

  void Start(Instant now) { next_idle_check_ = now; }
  void OnClockMoved(Duration by, Instant now) {
    next_idle_check_ += by;
    next_clock_row_ = now;
  }

  // What has to be written though nothing has changed.
  void Tick(Instant now);
  Instant NextDue(Instant) const { return next_idle_check_; }
  // The last that is added to the turn's commit. Nothing changes any more in this turn.
  void Write(Instant now);

 private:
  void WriteLedger(Queue& queue, Instant now);
  void RaiseEpoch();

  BrokerState& state_;
  Residency& residency_;
  Instant next_idle_check_;
  Instant next_clock_row_;
};

}  // namespace baton
