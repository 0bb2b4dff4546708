#include "server/engine/turn_budget.h"

namespace baton {

bool TurnBudget::AllowsOnDisk(Cost cost) const { return cost != Cost::kRewrite || !CommitIsFull(); }

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
  if (!IsMemoryQueue(queue) || cost == Cost::kNothing) return true;
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

void TurnBudget::Forget(const Asker& asker) {
  on_disk_.Forget(asker);
  in_memory_.Forget(asker);
}

void TurnBudget::OnQueueGone(QueueId queue) { DeferredOf(queue).Free(queue); }

bool TurnBudget::HasRunnable() const {
  if (StoreIsBehind()) return false;
  const bool on_disk =
      on_disk_.size(Cost::kNothing) + on_disk_.size(Cost::kRemove) > 0 || on_disk_.size(Cost::kRewrite) > 0;
  return on_disk || in_memory_.size(Cost::kNothing) > 0 ||
         (in_memory_.size(Cost::kRemove) > 0 && memory_room_.remove > 0) ||
         (in_memory_.size(Cost::kRewrite) > 0 && memory_room_.rewrite > 0);
}

void TurnBudget::RunDeferred(Instant now) {
  on_disk_.Run(now, [this](Cost cost) { return !StoreIsBehind() && !CommitIsFull() && AllowsOnDisk(cost); });
  in_memory_.Run(now,
                 [this](Cost cost) { return !StoreIsBehind() && !CommitIsFull() && AllowsInMemory(cost); });
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
