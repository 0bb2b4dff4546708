// Publish: every message is answered for itself, when its promise holds.
#pragma once

#include <deque>
#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/overflow.h"

namespace baton {

class Publisher {
 public:
  Publisher(BrokerState* state, LifeCycle* life_cycle, Overflow* overflow)
      : state_(*state), life_cycle_(*life_cycle), overflow_(*overflow) {}

  // Waits its turn while the store is behind (TurnBudget).
  void Handle(Publish command, Instant now);
  // Those that waited, as far as the store has caught up.
  void TakeWaiting(Instant now);
  bool HasRunnable() const { return !waiting_.empty() && !state_.budget.StoreIsBehind(); }
  // What those that wait take in memory.
  size_t WaitingBytes() const { return waiting_bytes_ + waiting_messages_ * sizeof(NewMessage); }

 private:
  void Run(Publish command, Instant now);
  // Refuses the whole batch; ok when it may go on.
  absl::Status CheckBroker(const Publish& command, const Queue* queue) const;
  Producers::Verdict CheckProducer(ProducerId producer, uint64_t sequence, Instant now);
  PublishResult PublishOne(Queue& queue, NewMessage message, ProducerId producer, uint64_t sequence,
                           Instant now);
  void Answer(const Publish& command, const Queue* queue, std::vector<PublishResult> results);
  void Confirm(SessionId session, const Publish& command, Durability durability, CommitNumber commit,
               Promise promise, const std::vector<PublishResult>& results);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Overflow& overflow_;
  // In the order they came. Bounded: calls are refused when there is too much, and of sessions nothing more
  // is taken in (Engine::Turn::waiting_publish_bytes).
  std::deque<Publish> waiting_;
  size_t waiting_bytes_ = 0;  // bodies and headers
  size_t waiting_messages_ = 0;
};

}  // namespace baton
