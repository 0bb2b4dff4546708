// What a turn may still do. Every arrow of a message's life asks here before it adds to the turn's commit;
// what is told no is left, or deferred to later turns. So nothing that others decide the amount of (an expiry
// of millions, a frame of 60,000 nacks, the end of a consumer that holds much) makes a turn long, or its
// commit larger than the store takes.
//
// A turn has phases: what was commanded and what was deferred, then what time brings (lease ends, delays,
// expiries), deliveries, evictions. Each has a share of arrows of its own, and what time brings a share of
// the commit of its own, so that none of them keeps the others from their turn.
//
// Two stores have a say, each with deferred work of its own: the disk, by the size of the turn's commit and
// by what is on its way to it; shared memory, by what it has room for (MemoryRoom).
//
// Pure; owned by the engine's thread.
#pragma once

#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/time.h"
#include "server/engine/deferred_work.h"
#include "server/engine/engine.h"
#include "server/engine/producers.h"
#include "server/engine/turn.h"
#include "storage/store.h"

namespace baton {

struct Queue;

class TurnBudget {
 public:
  static constexpr size_t kArrowsPerPhase = 4'096;
  static constexpr size_t kDeliveriesPerTurn = 16'384;

  using Queues = absl::flat_hash_map<QueueId, Queue*>;

  // All outlive this object.
  TurnBudget(const EngineOptions* options, const Turn* turn, const Producers* producers, const Queues* queues)
      : options_(*options), turn_(*turn), producers_(*producers), queues_(*queues) {}

  // A phase begins, with a share of so many arrows.
  void BeginPhase(size_t arrows = kArrowsPerPhase) { arrows_left_ = arrows; }
  // … and all that follow until the turn's end may make the commit half as large again.
  void BeginTimed() { timed_ = true; }
  // An arrow is taken.
  void Spend() { arrows_left_ -= arrows_left_ > 0 ? 1 : 0; }
  // May the phase go on, as for its share of arrows?
  bool HasArrows() const { return arrows_left_ > 0; }

  // May something that costs so much be done to messages of this queue, now?
  bool Allows(QueueId queue, Cost cost) const;
  // Could it in a turn of its own? False while its store has no room at all: its progress, or the next look
  // at its room, brings the turn in which it can.
  bool WillAllow(QueueId queue, Cost cost) const;
  // Of what remains for what costs so much: for who has to know before it begins what it will have cost.
  bool AllowsBytes(QueueId queue, size_t bytes) const;
  // For a message of so many bytes that makes a memory queue grow. ERRORS: RESOURCE_EXHAUSTED.
  absl::Status RoomToGrow(size_t bytes);
  // The commit is large enough: what else there is to handle is better left for the next turn.
  bool IsFull() const;

  // For a later turn.
  void Defer(const Asker& asker, QueueId queue, Cost cost, DeferredWork::Work work);
  // Who asked for work is gone, and it with him. True: there was some.
  bool Forget(const Asker& asker);
  // How many pieces of work wait.
  size_t deferred() const { return on_disk_.size() + in_memory_.size(); }
  // The queue is gone: what waits for it waits no more. Call when it is in no list any more.
  void OnQueueGone(QueueId queue);
  // Some of it may be done in a turn now.
  bool HasRunnable() const;
  void Tick(Instant now);
  Instant NextDue(Instant now) const { return HasRunnable() ? now : kNever; }

  // The end of this turn will add so much in memory.
  void ReserveInMemory(size_t bytes) { reserved_in_memory_ += bytes; }
  // The turn's commit goes to the store, with so many bytes for the disk.
  void OnTurnEnded() {
    reserved_in_memory_ = 0;
    timed_ = false;
    BeginPhase();
  }
  void OnSubmitted(CommitNumber number, size_t bytes);
  void OnWritten(CommitNumber written);
  // So much is on its way to the disk that what grows has to wait. Its progress brings the next turn.
  bool StoreIsBehind() const { return uncommitted_bytes_ > options_.uncommitted_bytes_max; }
  // … and would be with this turn's commit.
  bool StoreFallsBehind() const {
    return turn_.commit().disk_bytes() + uncommitted_bytes_ > options_.uncommitted_bytes_max;
  }
  size_t uncommitted_bytes() const { return uncommitted_bytes_; }

  void SetMemoryRoom(const MemoryRoom& room) { memory_room_ = room; }
  const MemoryRoom& memory_room() const { return memory_room_; }

 private:
  DeferredWork& DeferredOf(QueueId queue) { return IsMemoryQueue(queue) ? in_memory_ : on_disk_; }
  bool CommitIsFull() const {
    const size_t bytes_max = options_.turn_commit_bytes;
    return turn_.commit().bytes() >= bytes_max + (timed_ ? bytes_max / 2 : 0);
  }
  // What the turn's commit will take in shared memory, with the rows that its end adds.
  size_t MemoryBytes() const {
    return turn_.commit().memory_bytes() + reserved_in_memory_ + producers_.dirty_memory_bytes();
  }
  bool AllowsOnDisk(Cost cost) const;
  bool AllowsInMemory(Cost cost) const;

  const EngineOptions& options_;
  const Turn& turn_;
  const Producers& producers_;
  const Queues& queues_;

  MemoryRoom memory_room_;  // what this turn's commit may hold of memory queues; none, until the store says
  size_t reserved_in_memory_ = 0;
  size_t arrows_left_ = kArrowsPerPhase;
  bool timed_ = false;
  std::deque<std::pair<CommitNumber, size_t>> uncommitted_;  // handed over, not yet written: bytes each
  size_t uncommitted_bytes_ = 0;
  DeferredWork on_disk_;
  DeferredWork in_memory_;
};

}  // namespace baton
