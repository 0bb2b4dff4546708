// Publish: every message is answered for itself, when its promise holds.
#pragma once

#include "server/engine/life_cycle.h"
#include "server/engine/overflow.h"

namespace baton {

class Publisher {
 public:
  Publisher(BrokerState* state, LifeCycle* life_cycle, Overflow* overflow)
      : state_(*state), life_cycle_(*life_cycle), overflow_(*overflow) {}

  void Handle(Publish command, Instant now);

 private:
  // Refuses the whole batch; ok when it may go on.
  absl::Status CheckBroker(const Publish& command, const Queue* queue) const;
  PublishResult PublishOne(Queue& queue, NewMessage message, ProducerId producer, uint64_t sequence,
                           Instant now);
  void Answer(const Publish& command, const Queue* queue, std::vector<PublishResult> results);
  void Confirm(SessionId session, const Publish& command, Durability durability, CommitNumber commit,
               Promise promise, const std::vector<PublishResult>& results);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Overflow& overflow_;
};

}  // namespace baton
