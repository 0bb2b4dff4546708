// Publish: every message is answered for itself, when its promise holds.
//
// While the disk is behind, what is published to it waits in a line; what is published to a queue that must
// drop more before it may take more (Overflow) in a line of that queue. And with it waits whatever else its
// session sends: first the result, then the ack of what it was made from. So what a session sends is decided
// in the order in which it was sent; and nobody else waits.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/overflow.h"
#include "server/engine/settler.h"

namespace baton {

class Publisher {
 public:
  Publisher(BrokerState* state, LifeCycle* life_cycle, Overflow* overflow, Settler* settler)
      : state_(*state), life_cycle_(*life_cycle), overflow_(*overflow), settler_(*settler) {}

  // Waits its turn while the store is behind (TurnBudget).
  void Handle(Publish command, Instant now);
  // To the settler, after what the session published before.
  void Handle(SettleTags command, Instant now);
  // Those that waited, as far as the store has caught up.
  void TakeWaiting(Instant now);
  bool HasRunnable() const;
  // What those that wait take in memory.
  size_t WaitingBytes() const { return waiting_bytes_; }

 private:
  using Waiting = std::variant<Publish, SettleTags>;

  // Of a queue that drops; none: of the disk.
  using LineId = QueueId;
  struct Line {
    std::deque<Waiting> commands;  // in the order they came
  };

  Session* FindSession(SessionId id);
  // Where a publish to it has to wait, if it has to.
  std::optional<LineId> MustWait(const Queue* queue) const;
  bool IsRunnable(LineId id, const Line& line) const;
  void HoldBack(LineId line, Waiting command);
  void RunHeldBack(Waiting command, Instant now);
  struct Publishing {  // whose messages they are
    ProducerId producer;
    OwnerId owner;
  };
  void Run(Publish command, Instant now);
  Producers::Verdict CheckProducer(ProducerId producer, uint64_t sequence, Instant now);
  PublishResult PublishOne(Queue& queue, NewMessage message, const Publishing& by, uint64_t sequence,
                           Instant now);
  void Answer(const Publish& command, const Queue* queue, std::vector<PublishResult> results);
  void Confirm(SessionId session, const Publish& command, Durability durability, CommitNumber commit,
               Promise promise, const std::vector<PublishResult>& results);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Overflow& overflow_;
  Settler& settler_;
  // Bounded: calls are refused when there is too much, and of sessions nothing more is taken in
  // (Engine::Turn::waiting_publish_bytes). A session's are in one of them (Session::held_in).
  std::map<LineId, Line> lines_;
  size_t waiting_bytes_ = 0;
};

}  // namespace baton
