#include "server/engine/turn_budget.h"

namespace baton {

// What removes is small, and makes room: it waits only where the commit grows beyond all measure.
bool TurnBudget::AllowsOnDisk(Cost cost) const {
  switch (cost) {
    case Cost::kNothing:
      return true;
    case Cost::kRemove:
      return turn_.commit().bytes() < kCommitBytesMax / 2;
    case Cost::kRewrite:
      break;
  }
  return !CommitIsFull() && !StoreIsBehind();
}

bool TurnBudget::AllowsInMemory(Cost cost) const {
  switch (cost) {
    case Cost::kNothing:
      return true;
    case Cost::kRemove:
      return MemoryBytes() < memory_room_.remove;
    case Cost::kRewrite:
      break;
  }
  return !CommitIsFull() && MemoryBytes() < memory_room_.rewrite;
}

bool TurnBudget::Allows(QueueId queue, Cost cost) const {
  return IsMemoryQueue(queue) ? AllowsInMemory(cost) : AllowsOnDisk(cost);
}

bool TurnBudget::WillAllow(QueueId queue, Cost cost) const {
  if (cost == Cost::kNothing) return true;
  if (!IsMemoryQueue(queue)) return cost == Cost::kRemove || !StoreIsBehind();
  return (cost == Cost::kRemove ? memory_room_.remove : memory_room_.rewrite) > 0;
}

bool TurnBudget::AllowsBytes(QueueId queue, size_t bytes) const {
  return turn_.commit().bytes() + bytes < options_.turn_commit_bytes &&
         (!IsMemoryQueue(queue) || MemoryBytes() + bytes < memory_room_.rewrite);
}

absl::Status TurnBudget::RoomToGrow(size_t bytes) {
  const size_t needed = MemoryBytes() + bytes;
  if (needed <= memory_room_.grow && bytes <= memory_room_.largest) return absl::OkStatus();
  if (!options_.make_memory_room) return absl::FailedPreconditionError("there is no shared memory");
  return options_.make_memory_room(needed, bytes, memory_room_);
}

bool TurnBudget::IsFull() const {
  const bool rewrote_enough = memory_room_.rewrite > 0 && MemoryBytes() >= memory_room_.rewrite;
  return CommitIsFull() || rewrote_enough;
}

void TurnBudget::Defer(const Asker& asker, QueueId queue, Cost cost, DeferredWork::Work work) {
  DeferredOf(queue).Add(asker, queue, queues_.contains(queue) ? cost : Cost::kNothing, std::move(work));
}

bool TurnBudget::Forget(const Asker& asker) {
  const bool on_disk = on_disk_.Forget(asker);
  return in_memory_.Forget(asker) || on_disk;
}

void TurnBudget::OnQueueGone(QueueId queue) { DeferredOf(queue).Free(queue); }

bool TurnBudget::HasRunnable() const {
  return on_disk_.size(Cost::kNothing) + on_disk_.size(Cost::kRemove) + in_memory_.size(Cost::kNothing) > 0 ||
         (on_disk_.size(Cost::kRewrite) > 0 && !StoreIsBehind()) ||
         (in_memory_.size(Cost::kRemove) > 0 && memory_room_.remove > 0) ||
         (in_memory_.size(Cost::kRewrite) > 0 && memory_room_.rewrite > 0);
}

void TurnBudget::Tick(Instant now) {
  BeginPhase();
  on_disk_.Run(now, [this](Cost cost) { return HasArrows() && AllowsOnDisk(cost); });
  BeginPhase();
  in_memory_.Run(now, [this](Cost cost) { return HasArrows() && AllowsInMemory(cost); });
}

void TurnBudget::OnSubmitted(CommitNumber number, size_t bytes) {
  uncommitted_.emplace_back(number, bytes);
  uncommitted_bytes_ += bytes;
}

void TurnBudget::OnWritten(CommitNumber written) {
  while (!uncommitted_.empty() && uncommitted_.front().first <= written) {
    uncommitted_bytes_ -= uncommitted_.front().second;
    uncommitted_.pop_front();
  }
}

}  // namespace baton
