// Gives leases back that their holders have lost: they ended, or the session has.
#pragma once

#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"

namespace baton {

class Returner {
 public:
  Returner(BrokerState* state, LifeCycle* life_cycle, Locator* locator)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator) {}

  // Those that are over. One that cannot be given back for want of room, or whose content must be read for
  // that, is prolonged.
  void Tick(Instant now);
  Instant NextDue(Instant now) const;
  // They keep their length.
  void OnClockMoved(Duration by);
  // The session is gone: what it holds goes back, in shares when it is much.
  void ReturnAll(Session& session, Instant now);

 private:
  void ReturnLater(QueueId queue, std::vector<Unsettled> deliveries);
  QueueId ReturnOne(const Unsettled& delivery, Instant now);
  void ReadThenReturn(Message& message, ReturnCause cause, std::string_view reason, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
};

}  // namespace baton
