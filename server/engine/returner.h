// Gives leases back that their holders have lost: they ended, or the session has.
#pragma once

#include <vector>

#include "server/engine/life_cycle.h"

namespace baton {

class Returner {
 public:
  Returner(BrokerState* state, LifeCycle* life_cycle) : state_(*state), life_cycle_(*life_cycle) {}

  // Those that are over. One that cannot be given back for want of room is prolonged.
  void EndLeases(Instant now);
  // The session is gone: what it holds goes back, in shares when it is much.
  void ReturnAll(Session& session, Instant now);

 private:
  void ReturnLater(QueueId queue, std::vector<Unsettled> deliveries);
  QueueId ReturnOne(const Unsettled& delivery, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
};

}  // namespace baton
