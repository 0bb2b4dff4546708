#include "server/engine/residency.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "server/engine/arrow_cost.h"

namespace baton {
namespace {

// How long before they are due delayed messages are read from disk.
constexpr Duration kLookahead = std::chrono::seconds(1);

Instant LookAhead(Instant due) { return due - std::min(kLookahead, due.time_since_epoch()); }

// A window that claims to hold everything must; otherwise rows and ledger disagree and nothing can be
// trusted.
absl::Status LedgerDisagrees(const Queue& queue, std::string_view what, uint64_t missing) {
  return absl::DataLossError(
      fmt::format("queue {}: the ledger counts {} {} messages more than there are rows: the store is damaged",
                  queue.name, missing, what));
}

absl::Status UnreadableRow(const Queue& queue) {
  return absl::DataLossError(
      fmt::format("queue {}: a message row cannot be read: the store is damaged", queue.name));
}

// Of rows in the order of their keys. nullopt: one of them has no such key.
template <class Parts>
auto PositionsOf(const std::vector<Row>& rows, std::optional<Parts> (*parse)(std::string_view)) {
  std::optional<std::vector<decltype(Parts::position)>> positions(std::in_place);
  positions->reserve(rows.size());
  for (const Row& row : rows) {
    const auto parts = parse(row.key);
    if (!parts.has_value()) return decltype(positions)();
    positions->push_back(parts->position);
  }
  return positions;
}

}  // namespace

void Residency::RefillReady(Queue& queue) {
  if (queue.ready.all_resident() || queue.ready.reading() || queue.paused || !queue.has_takers()) return;
  if (queue.spilled_ready() == 0) {
    queue.ready.SetAllResident();
    return;
  }
  if (queue.ready.size() >= low_water()) return;
  if (!reads_.HasRoom()) {
    WaitForRoom(queue);
    return;
  }
  ReadRequest request;
  request.begin = ReadyKey(queue.number, queue.ready.boundary());
  request.end = AllOf(RowKind::kReady, queue.number).end;
  request.rows_max = state_.options.chunk_rows;
  request.bytes_max = state_.options.chunk_bytes;
  if (queue.ledger.attempt_rows > 0) request.companion = &AttemptsKeyOfRow;
  const uint64_t flight = queue.ready.BeginRead();
  reads_.Start(std::move(request), [this, number = queue.number, flight](ReadResult result, Instant) {
    OnReadyRows(number, flight, std::move(result));
  });
}

void Residency::OnReadyRows(QueueId number, uint64_t flight, ReadResult result) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr || !queue->ready.InFlight(flight)) return;  // deleted, purged or evicted meanwhile
  const auto keys = PositionsOf(result.rows, &ParseReadyKey);
  if (!keys.has_value()) {
    state_.failure.Update(UnreadableRow(*queue));
    return;
  }
  const auto taken = queue->ready.FinishRead(
      *keys, result.end_reached, [queue](const ReadyPosition& key) { return queue->leased.contains(key); });
  for (const size_t index : taken) {
    if (Message* message = Admit(*queue, result.rows[index])) life_cycle_.EnterReady(*message);
  }
  if (queue->ready.all_resident() && queue->spilled_ready() != 0) {
    state_.failure.Update(LedgerDisagrees(*queue, "ready", queue->spilled_ready()));
  }
  state_.WantDispatch(*queue);
}

Message* Residency::Admit(Queue& queue, const Row& row) {
  auto message = MessageFromRow(queue, row.key, *row.value, row.companion);
  // No two messages have one id.
  if (message == nullptr || state_.FindResident(message->id.seq) != nullptr) {
    state_.failure.Update(UnreadableRow(queue));
    return nullptr;
  }
  message->commit = state_.turn.latest(queue.promise());
  return &life_cycle_.MakeResident(std::move(message));
}

void Residency::RefillDelayed(Queue& queue, Instant now) {
  if (queue.delayed.all_resident() || queue.delayed.reading()) return;
  if (queue.spilled_delayed() == 0) {
    queue.delayed.SetAllResident();
    return;
  }
  if (queue.delayed.size() >= low_water() || LookAhead(queue.delayed.boundary().due) > now) return;
  if (!reads_.HasRoom()) {
    WaitForRoom(queue);
    return;
  }
  ReadRequest request;
  request.begin = DelayedKey(queue.number, queue.delayed.boundary());
  request.end = AllOf(RowKind::kDelayed, queue.number).end;
  request.rows_max = state_.options.chunk_rows;
  request.bytes_max = state_.options.chunk_bytes;
  if (queue.ledger.attempt_rows > 0) request.companion = &AttemptsKeyOfRow;
  const uint64_t flight = queue.delayed.BeginRead();
  reads_.Start(std::move(request), [this, number = queue.number, flight](ReadResult result, Instant at) {
    OnDelayedRows(number, flight, std::move(result), at);
  });
}

void Residency::OnDelayedRows(QueueId number, uint64_t flight, ReadResult result, Instant now) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) return;
  if (queue->delayed.InFlight(flight)) {
    const auto keys = PositionsOf(result.rows, &ParseDelayedKey);
    if (!keys.has_value()) {
      state_.failure.Update(UnreadableRow(*queue));
      return;
    }
    const auto taken =
        queue->delayed.FinishRead(*keys, result.end_reached, [](const DelayedPosition&) { return false; });
    for (const size_t index : taken) {
      if (Message* message = Admit(*queue, result.rows[index])) life_cycle_.EnterDelayed(*message);
    }
    if (queue->delayed.all_resident() && queue->spilled_delayed() != 0) {
      state_.failure.Update(LedgerDisagrees(*queue, "delayed", queue->spilled_delayed()));
    }
  }
  Schedule(*queue, now);
}

void Residency::Schedule(Queue& queue, Instant now) {
  Instant next = kNever;
  if (!queue.delayed.empty()) next = queue.delayed.begin()->first.due;
  if (!queue.delayed.all_resident() && !queue.delayed.reading() && queue.delayed.size() < low_water()) {
    next = std::min(next, LookAhead(queue.delayed.boundary().due));
    if (!reads_.HasRoom()) next = std::max(next, now + std::chrono::milliseconds(10));
  }
  if (next <= now && !state_.budget.WillAllow(queue.number, Cost::kRewrite))
    next = now + std::chrono::milliseconds(10);
  if (next == queue.scheduled_due) return;
  if (queue.scheduled_due != kNever) state_.delay_schedule.erase({queue.scheduled_due, queue.number});
  queue.scheduled_due = next;
  if (next != kNever) state_.delay_schedule.insert({next, queue.number});
}

void Residency::WakeDue(Instant now) {
  std::vector<QueueId> due;
  for (const auto& [at, number] : state_.delay_schedule) {
    if (at > now) break;
    due.push_back(number);
  }
  for (const QueueId number : due) {
    Queue& queue = *state_.FindQueue(number);
    while (!queue.delayed.empty() && queue.delayed.begin()->first.due <= now && state_.budget.HasArrows()) {
      Message& message = *queue.delayed.begin()->second;
      if (!state_.budget.Allows(number, CostOfWake(message))) break;
      life_cycle_.Wake(message, now);
    }
    RefillDelayed(queue, now);
    Schedule(queue, now);
  }
}

void Residency::WaitForRoom(Queue& queue) {
  if (queue.awaits_read) return;
  queue.awaits_read = true;
  waiting_.push_back(queue.number);
}

void Residency::RetryWaiting(Instant now) {
  for (size_t count = waiting_.size(); count > 0 && reads_.HasRoom(); --count) {
    Queue* queue = state_.FindQueue(waiting_.front());
    waiting_.pop_front();
    if (queue == nullptr) continue;
    queue->awaits_read = false;
    RefillReady(*queue);
    RefillDelayed(*queue, now);
    Schedule(*queue, now);
  }
}

// The last of its window goes first. One that was delayed may have to be written again.
bool Residency::MayEvict(Queue& queue) const {
  if (queue.ready.empty()) return false;
  const Message& last = *std::prev(queue.ready.end())->second;
  return state_.budget.Allows(queue.number, CostOfSpill(last));
}

void Residency::EvictReady(Queue& queue, size_t keep) {
  if (queue.ready.size() <= keep || !MayEvict(queue)) return;
  ReadyPosition boundary;
  while (queue.ready.size() > keep && MayEvict(queue)) {
    auto last = std::prev(queue.ready.end());
    boundary = last->first;
    life_cycle_.Spill(*last->second);
  }
  queue.ready.LowerBoundary(boundary);
}

void Residency::EvictDelayed(Queue& queue, size_t keep, Instant now) {
  DelayedPosition boundary = kDelayedEnd;
  while (queue.delayed.size() > keep) {
    auto last = std::prev(queue.delayed.end());
    // What is due soon would be read again at once, and so on.
    if (LookAhead(last->first.due) <= now) break;
    boundary = last->first;
    life_cycle_.Spill(*last->second);
  }
  if (boundary == kDelayedEnd) return;
  queue.delayed.LowerBoundary(boundary);
  Schedule(queue, now);
}

// One queue gives up half of a window. False: nothing can go.
bool Residency::EvictSome(Instant now) {
  Queue* victim = nullptr;
  bool from_delayed = false;
  size_t most = 0;
  // A queue with takers counts only what is beyond its next reads, and only when no other queue has anything.
  for (const bool with_takers : {false, true}) {
    if (victim != nullptr) break;
    for (const auto& [name, queue] : state_.queues) {
      const bool late =
          !queue->delayed.empty() && LookAhead(std::prev(queue->delayed.end())->first.due) > now;
      const size_t delayed = late ? queue->delayed.size() : 0;
      if (delayed > most) {
        victim = queue.get();
        from_delayed = true;
        most = delayed;
      }
      if (queue->has_takers() != with_takers || !MayEvict(*queue)) continue;
      const size_t floor = with_takers ? low_water() : 0;
      const size_t ready = queue->ready.size() > floor ? queue->ready.size() - floor : 0;
      if (ready > most) {
        victim = queue.get();
        from_delayed = false;
        most = ready;
      }
    }
  }
  if (victim == nullptr) return false;
  if (from_delayed) {
    EvictDelayed(*victim, victim->delayed.size() / 2, now);
  } else {
    EvictReady(*victim, victim->has_takers() ? std::max(victim->ready.size() / 2, low_water())
                                             : victim->ready.size() / 2);
  }
  return true;
}

void Residency::Evict(Instant now) {
  while (state_.resident_bytes > state_.WindowBytes() && EvictSome(now)) {
  }
}

}  // namespace baton
