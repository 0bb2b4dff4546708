#include "server/engine/residency.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "server/engine/arrow_cost.h"
#include "server/engine/window_reader.h"

namespace baton {
namespace {

// How long before they are due delayed messages are read from disk.
constexpr Duration kLookahead = std::chrono::seconds(1);
// Messages that leave memory in one turn; more than one turn brings in. And for one read ahead.
constexpr size_t kEvictionsPerTurn = 8'192;
constexpr size_t kEvictionsPerRead = 1'024;

Instant LookAhead(Instant due) { return due - std::min(kLookahead, due.time_since_epoch()); }

}  // namespace

// Is there room for what a read may bring? One that somebody waits for may push out what nobody uses, or what
// there is more of; the first of them is read whatever there is, so that no queue stands still for ever.
bool Residency::HasRoom(const Chunk& chunk, Urgency urgency) {
  if (!reads_.HasRoom()) return false;
  const auto over = [&] {
    const size_t taken = state_.resident_bytes + state_.reading_bytes + chunk.footprint();
    const size_t most = state_.WindowBytes();
    return taken > most ? taken - most : 0;
  };
  if (over() == 0) return true;
  size_t units = kEvictionsPerRead;
  GiveUp(over(), urgency == Urgency::kWaitedFor ? EvictionIndex::Cost::kUsed : EvictionIndex::Cost::kUnused,
         2 * chunk.footprint(), units);
  return over() == 0 || (urgency == Urgency::kWaitedFor && state_.reading_bytes == 0);
}

void Residency::RefillReady(Queue& queue) {
  if (queue.ready.all_resident() || queue.ready.reading() || !queue.delivers() || !queue.has_takers()) return;
  if (queue.spilled_ready() == 0) {
    queue.ready.SetAllResident();
    return;
  }
  if (queue.ready_awaits_repair) return;
  const Chunk chunk = ChunkOf(state_);
  if (!RunsLow(queue.ready, chunk)) return;
  const bool starved = queue.is_starved();
  if (!HasRoom(chunk, starved ? Urgency::kWaitedFor : Urgency::kAhead)) {
    if (starved) waiting_.Add(queue);
    return;
  }
  ReadChunk(reads_, queue.ready, ReadyKey(queue.number, queue.ready.boundary()),
            AllOf(RowKind::kReady, queue.number).end, chunk, ExtrasOf(queue),
            [this, number = queue.number](uint64_t flight, ReadResult result, Instant at) {
              OnReadyRows(number, flight, std::move(result), at);
            });
}

void Residency::OnReadyRows(QueueId number, uint64_t flight, ReadResult result, Instant now) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr || !queue->ready.InFlight(flight)) return;  // deleted, purged or evicted meanwhile
  auto messages = Understand(*queue, result);
  if (!messages.ok()) {
    queue->ready.AbandonRead();
    NoteDamage(*queue, queue->ready_awaits_repair, messages.status(), now);
    return;
  }
  std::vector<ReadyPosition> keys;
  keys.reserve(messages->size());
  for (const Row& row : result.rows) keys.push_back(ParseReadyKey(row.key)->position);
  const auto taken = queue->ready.FinishRead(
      keys, result.end_reached, [queue](const ReadyPosition& key) { return queue->leased.contains(key); });
  for (const size_t index : taken) {
    auto& message = (*messages)[index];
    if (message == nullptr) continue;  // left out
    if (Message* admitted = Admit(std::move(message), queue->ready_awaits_repair, now)) {
      life_cycle_.EnterReady(*admitted);
    } else if (!queue->skips_damage) {
      queue->ready.LowerBoundary(keys[index]);
      break;
    }
  }
  if (queue->ready.all_resident() && queue->spilled_ready() != 0) {
    uint64_t bytes = 0;
    for (const auto& [key, message] : queue->leased)
      bytes += message->home == Message::Home::kReadyRow ? message->bytes() : 0;
    for (const auto& [key, message] : queue->ready)
      bytes += message->home == Message::Home::kReadyRow ? message->bytes() : 0;
    Disagree(*queue, "ready", queue->spilled_ready(), queue->ledger.ready, bytes);
  }
  state_.WantDispatch(*queue);
}

void Residency::RefillDelayed(Queue& queue, Instant now) {
  if (queue.delayed.all_resident() || queue.delayed.reading()) return;
  if (queue.spilled_delayed() == 0) {
    queue.delayed.SetAllResident();
    return;
  }
  if (queue.delayed_awaits_repair) return;
  const Chunk chunk = ChunkOf(state_);
  if (!RunsLow(queue.delayed, chunk) || ReadDelayedFrom(queue) > now) return;
  const bool starved = queue.delayed.empty() && queue.delayed.boundary().due <= now;
  if (starved && !state_.budget.WillAllow(queue.number, Cost::kRewrite)) return;  // it could not be woken
  queue.read_refused = !HasRoom(chunk, starved ? Urgency::kWaitedFor : Urgency::kAhead);
  if (queue.read_refused) {
    if (starved) waiting_.Add(queue);
    return;
  }
  ReadChunk(reads_, queue.delayed, DelayedKey(queue.number, queue.delayed.boundary()),
            AllOf(RowKind::kDelayed, queue.number).end, chunk, ExtrasOf(queue),
            [this, number = queue.number](uint64_t flight, ReadResult result, Instant at) {
              OnDelayedRows(number, flight, std::move(result), at);
            });
}

// When its next delayed messages are read; what was read ahead and had no room, not before it must.
Instant Residency::ReadDelayedFrom(const Queue& queue) {
  const Instant due = queue.delayed.boundary().due;
  return queue.read_when_due ? due : LookAhead(due);
}

void Residency::OnDelayedRows(QueueId number, uint64_t flight, ReadResult result, Instant now) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) return;
  if (queue->delayed.InFlight(flight)) TakeDelayed(*queue, std::move(result), now);
  Schedule(*queue, now);
}

void Residency::TakeDelayed(Queue& queue, ReadResult result, Instant now) {
  auto messages = Understand(queue, result);
  if (!messages.ok()) {
    queue.delayed.AbandonRead();
    NoteDamage(queue, queue.delayed_awaits_repair, messages.status(), now);
    return;
  }
  std::vector<DelayedPosition> keys;
  keys.reserve(messages->size());
  for (const Row& row : result.rows) keys.push_back(ParseDelayedKey(row.key)->position);
  const auto taken =
      queue.delayed.FinishRead(keys, result.end_reached, [](const DelayedPosition&) { return false; });
  for (const size_t index : taken) {
    auto& message = (*messages)[index];
    if (message == nullptr) continue;  // left out
    if (Message* admitted = Admit(std::move(message), queue.delayed_awaits_repair, now)) {
      life_cycle_.EnterDelayed(*admitted);
    } else if (!queue.skips_damage) {
      queue.delayed.LowerBoundary(keys[index]);
      break;
    }
  }
  if (queue.delayed.all_resident() && queue.spilled_delayed() != 0) {
    uint64_t bytes = 0;
    for (const auto& [key, message] : queue.delayed) bytes += message->bytes();
    for (const auto& [key, message] : queue.ready)
      bytes += message->home == Message::Home::kDelayedRow ? message->bytes() : 0;
    for (const auto& [key, message] : queue.leased)
      bytes += message->home == Message::Home::kDelayedRow ? message->bytes() : 0;
    Disagree(queue, "delayed", queue.spilled_delayed(), queue.ledger.delayed, bytes);
  }
}

void Residency::Schedule(Queue& queue, Instant now) {
  Instant next = kNever;
  if (!queue.delayed.empty()) next = queue.delayed.begin()->first.due;
  if (!queue.delayed_awaits_repair && RunsLow(queue.delayed, ChunkOf(state_))) {
    const Instant look = ReadDelayedFrom(queue);
    next = std::min(next, queue.read_refused ? std::max(look, now + std::chrono::milliseconds(10)) : look);
  }
  if (next <= now && !state_.budget.WillAllow(queue.number, Cost::kRewrite))
    next = now + std::chrono::milliseconds(10);
  if (next == queue.scheduled_due) return;
  if (queue.scheduled_due != kNever) state_.delay_schedule.erase({queue.scheduled_due, queue.number});
  queue.scheduled_due = next;
  if (next != kNever) state_.delay_schedule.insert({next, queue.number});
}

void Residency::Tick(Instant now) {
  state_.budget.BeginPhase();
  RetryDamaged(now);
  WakeDue(now);
  RetryWaiting(now);
}

Instant Residency::NextDue(Instant now) const {
  if (over_) return now;
  return state_.delay_schedule.empty() ? next_retry_
                                       : std::min(next_retry_, state_.delay_schedule.begin()->first);
}

void Residency::WakeDue(Instant now) {
  now_ = now;
  std::vector<QueueId> due;
  for (const auto& [at, number] : state_.delay_schedule) {
    if (at > now) break;
    due.push_back(number);
  }
  for (const QueueId number : due) {
    Queue& queue = *state_.FindQueue(number);
    while (!queue.delayed.empty() && queue.delayed.begin()->first.due <= now && state_.budget.HasArrows()) {
      Message& message = *queue.delayed.begin()->second;
      const bool is_early = message.due_meant() > now;
      if (!state_.budget.Allows(number, is_early ? Cost::kRewrite : CostOfWake(message))) break;
      is_early ? life_cycle_.CorrectDue(message) : life_cycle_.Wake(message, now);
    }
    RefillDelayed(queue, now);
    Schedule(queue, now);
  }
}

void Residency::RetryWaiting(Instant now) {
  now_ = now;
  auto waited = waiting_.TakeAll();
  while (!waited.empty() && HasRoom(ChunkOf(state_), Urgency::kWaitedFor)) {
    Queue& queue = *waited.Take();
    RefillReady(queue);
    RefillDelayed(queue, now);
    Schedule(queue, now);
  }
  waiting_.PutBack(std::move(waited));
}

// One that was delayed may have to be written again.
bool Residency::MayEvict(const Message& last) const {
  return state_.budget.Allows(last.queue->number, CostOfSpill(last));
}

// Gives up messages from the end of a window, at least one and until it has freed so many bytes. Those that
// somebody waits for keep one, or they would be read again at once. Returns what was freed.
size_t Residency::EvictReady(Queue& queue, size_t bytes, size_t& units) {
  const size_t keep = queue.able.empty() ? 0 : 1;
  size_t freed = 0;
  std::optional<ReadyPosition> boundary;
  while (freed < bytes && units > 0 && queue.ready.size() > keep) {
    Message& last = *std::prev(queue.ready.end())->second;
    if (!MayEvict(last)) break;
    boundary = last.position();
    freed += last.footprint();
    --units;
    life_cycle_.Spill(last);
  }
  if (boundary.has_value()) queue.ready.LowerBoundary(*boundary);
  return freed;
}

size_t Residency::EvictDelayed(Queue& queue, size_t bytes, size_t& units, Instant now) {
  if (queue.delayed.empty()) return 0;
  queue.read_when_due = LookAhead(std::prev(queue.delayed.end())->first.due) <= now;
  size_t freed = 0;
  std::optional<DelayedPosition> boundary;
  while (freed < bytes && units > 0 && !queue.delayed.empty()) {
    Message& last = *std::prev(queue.delayed.end())->second;
    boundary = last.delayed_position();
    freed += last.footprint();
    --units;
    life_cycle_.Spill(last);
  }
  if (boundary.has_value()) {
    queue.delayed.LowerBoundary(*boundary);
    Schedule(queue, now);
  }
  return freed;
}

// At least so many bytes, if windows that cost no more than `dearest` have them: of the largest, at most half
// at a time; windows in use below `least_used` stay. False: nothing more can go for now.
bool Residency::GiveUp(size_t bytes, EvictionIndex::Cost dearest, size_t least_used, size_t& units) {
  std::vector<Queue*> stuck;  // can give up nothing in this turn
  size_t freed = 0;
  while (freed < bytes && units > 0) {
    const auto next = state_.evictions.Next();
    if (!next.has_value() || next->second > dearest) break;
    const auto [window, cost] = *next;
    Queue& queue = *state_.FindQueue(window.first);
    const bool is_ready = window.second == EvictionIndex::Part::kReady;
    auto& place = is_ready ? queue.ready_place : queue.delayed_place;
    const size_t size = is_ready ? queue.ready.bytes() : queue.delayed.bytes();
    const bool wakes_now = !is_ready && queue.delayed.begin()->first.due <= now_;
    if (!wakes_now && cost == EvictionIndex::Cost::kUnused && !is_ready &&
        LookAhead(std::prev(queue.delayed.end())->first.due) <= now_) {
      state_.evictions.File(window, EvictionIndex::Cost::kUsed, size, place);  // would be read again at once
      continue;
    }
    if (cost == EvictionIndex::Cost::kUsed && size < least_used) break;
    const size_t share = std::min(bytes - freed, size - size / 2);
    const size_t gone = wakes_now  ? 0
                        : is_ready ? EvictReady(queue, share, units)
                                   : EvictDelayed(queue, share, units, now_);
    freed += gone;
    if (gone == 0 && units > 0) {
      state_.evictions.Remove(window, place);
      stuck.push_back(&queue);
    }
  }
  for (Queue* queue : stuck) state_.FileForEviction(*queue);
  return freed >= bytes;
}

void Residency::Evict(Instant now) {
  now_ = now;
  const size_t most = state_.WindowBytes();
  over_ = false;
  if (state_.resident_bytes <= most) return;
  // A little more than must, so that the next message does not bring us here again.
  size_t units = kEvictionsPerTurn;
  GiveUp(state_.resident_bytes - most + most / 32, EvictionIndex::Cost::kUsed, 0, units);
  over_ = units == 0 && state_.resident_bytes > most;
}

}  // namespace baton
