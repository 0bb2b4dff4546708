// Expires messages at their deadline, wherever they are: in memory at once, on disk by way of a read.
#pragma once

#include <utility>
#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/reads.h"
#include "server/engine/window_reader.h"

namespace baton {

class Expirer {
 public:
  Expirer(BrokerState* state, LifeCycle* life_cycle, Locator* locator, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator), reads_(*reads) {}

  // Handles every hint that is due, and reads ahead those that soon will be. As far as there is room for
  // reads.
  void Tick(Instant now);
  void OnClockMoved() {
    if (try_again_ != kNever) try_again_ = {};
  }
  // When Tick has something to do again; a completed read is a reason of its own.
  Instant NextDue(Instant now) const;

 private:
  bool MustPass(const ExpiryPosition& position, Instant now) const;
  bool IsVoid(const ExpiryPosition& position) const;
  void RemoveHint(const ExpiryPosition& position);
  void Fire(const ExpiryPosition& position, const MessageId& id, Instant now);
  bool LacksRoomForHint(const Queue& queue);
  // As if it had not come up yet.
  void LetWait(Queue& queue, const ExpiryPosition& position, const MessageId& id, Instant now);
  // What would tell of its message cannot be read, for now.
  void NoteUnreadable(const ExpiryPosition& position, const MessageId& id, Instant now);
  void TryUnreadable();
  void Refill(Instant now);
  Chunk HintChunk() const;
  void OnHints(uint64_t flight, ReadResult result);
  // A read has failed: the next one skips what it cannot read; if that fails, too, no more are read.
  void GiveUp(const absl::Status& why);
  void Trim();

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;
  std::vector<std::pair<ExpiryPosition, MessageId>> unreadable_;
  Instant try_again_ = kNever;
  bool skips_damage_ = false;  // some hints could not be read: the others are read all the same
  bool passed_ = false;        // hints that are due wait until their store has room
};

}  // namespace baton
