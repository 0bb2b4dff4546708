// What a turn may still do. Every arrow of a message's life asks here before it adds to the turn's commit;
// what is told no is left, or deferred to later turns. So nothing that others decide the amount of (an expiry
// of millions, a frame of 60,000 nacks, the end of a consumer that holds much) makes a turn long, or its
// commit larger than the store takes.
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
  using Queues = absl::flat_hash_map<QueueId, Queue*>;

  // All outlive this object.
  TurnBudget(const EngineOptions* options, const Turn* turn, const Producers* producers, const Queues* queues)
      : options_(*options), turn_(*turn), producers_(*producers), queues_(*queues) {}

  // May something that costs so much be done to messages of this queue, now?
  bool Allows(QueueId queue, Cost cost) const;
  // Could it in a turn of its own? False while its store has no room at all.
  bool WillAllow(QueueId queue, Cost cost) const;
  // Of what remains for what costs so much: for who has to know before it begins what it will have cost.
  bool AllowsBytes(QueueId queue, size_t bytes) const;
  // For a message of so many bytes that makes a memory queue grow. ERRORS: RESOURCE_EXHAUSTED.
  absl::Status RoomToGrow(size_t bytes);
  // The commit is large enough: what else there is to handle is better left for the next turn.
  bool IsFull() const;

  // For a later turn: REQUIRES: Allows said no.
  void Defer(const Asker& asker, QueueId queue, Cost cost, DeferredWork::Work work);
  // Who asked for work is gone, and it with him.
  void Forget(const Asker& asker);
  // The queue is gone: what waits for it waits no more. Call when it is in no list any more.
  void OnQueueGone(QueueId queue);
  // Some of it may be done in a turn now.
  bool HasRunnable() const;
  void RunDeferred(Instant now);

  // The end of this turn will add so much in memory.
  void ReserveInMemory(size_t bytes) { reserved_in_memory_ += bytes; }
  // The turn's commit goes to the store, with so many bytes.
  void OnTurnEnded() { reserved_in_memory_ = 0; }
  void OnSubmitted(CommitNumber number, size_t bytes);
  void OnWritten(CommitNumber written);
  // So much is on its way to the disk that what grows has to wait. Its progress brings the next turn.
  bool StoreIsBehind() const { return uncommitted_bytes_ > options_.uncommitted_bytes_max; }
  // … and would be with this turn's commit.
  bool StoreFallsBehind() const {
    return turn_.commit().bytes() + uncommitted_bytes_ > options_.uncommitted_bytes_max;
  }
  size_t uncommitted_bytes() const { return uncommitted_bytes_; }

  void SetMemoryRoom(const MemoryRoom& room) { memory_room_ = room; }
  const MemoryRoom& memory_room() const { return memory_room_; }

 private:
  DeferredWork& DeferredOf(QueueId queue) { return IsMemoryQueue(queue) ? in_memory_ : on_disk_; }
  bool CommitIsFull() const { return turn_.commit().bytes() >= options_.turn_commit_bytes; }
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

  MemoryRoom
      memory_room_;  // what this turn's commit may hold of memory queues; none, until the store says so
  size_t reserved_in_memory_ = 0;
  std::deque<std::pair<CommitNumber, size_t>> uncommitted_;  // handed over, not yet written: bytes each
  size_t uncommitted_bytes_ = 0;
  DeferredWork on_disk_;
  DeferredWork in_memory_;
};

}  // namespace baton
