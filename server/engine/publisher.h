// Publish: every message is answered for itself, when its promise holds.
//
// While the disk is behind, what is published to it waits in a line; what is published to a queue that must
// drop more before it may take more (Overflow), or is being purged, in a line of that queue. Lines of memory
// queues do not wait for the disk's, and their room is their own. And with it waits whatever else its session
// sends: first the result, then the ack of what it was made from. So what a session sends is decided in the
// order in which it was sent; and nobody else waits.
#pragma once

#include <deque>
#include <functional>
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
  void Tick(Instant now);
  // `now`: some can go on at once.
  Instant NextDue(Instant now) const { return HasRunnable() ? now : kNever; }
  // What those that wait take in memory.
  const HeldBack& held_back() const { return held_back_; }

 private:
  using Waiting = std::variant<Publish, SettleTags>;

  // Of a queue that drops; none: of the disk.
  using LineId = QueueId;
  struct Line {
    std::deque<Waiting> commands;  // in the order they came
  };

  Session* FindSession(SessionId id);
  bool HasRunnable() const;
  // Where a publish to it has to wait, if it has to.
  std::optional<LineId> MustWait(const Queue* queue) const;
  bool IsRunnable(LineId id, const Line& line) const;
  // May more be done of the line in this turn?
  bool GoesOn(LineId id) const;
  size_t& HeldBackIn(LineId id) { return IsMemoryQueue(id) ? held_back_.for_memory : held_back_.for_disk; }
  void HoldBack(LineId line, Waiting command);
  void RunHeldBack(LineId line, Waiting command, Instant now);
  struct Publishing {  // whose messages they are
    ProducerId producer;
    OwnerId owner;
  };
  void Run(Publish command, Instant now);
  // What becomes of a message. Holds until something else happens to its queue or its producer: so each is
  // planned and applied before the next. What stands or falls together would be planned first, all of it,
  // each plan over what those before it will have added.
  struct Plan {
    absl::Status refusal = absl::OkStatus();
    bool duplicate = false;  // it was accepted before
    bool too_many_producers = false;
    Overflow::Plan room = {};
  };
  void MakeRoomFor(ProducerId producer, uint64_t sequence, Instant now);
  Plan PlanPublish(Queue& queue, const NewMessage& message, ProducerId producer, uint64_t sequence) const;
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
  // (Engine::Turn::held_back). A session's are in one of them (Session::held_in). Memory queues first: their
  // numbers are the larger ones.
  std::map<LineId, Line, std::greater<>> lines_;
  HeldBack held_back_;
};

}  // namespace baton
