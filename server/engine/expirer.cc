#include "server/engine/expirer.h"

#include <algorithm>

#include <fmt/format.h>

#include "server/engine/arrow_cost.h"

namespace baton {
namespace {

// How long before they are due hints are read from disk.
constexpr Duration kHintsAhead = std::chrono::seconds(1);
// How soon hints are looked at again that were passed over.
constexpr Duration kLookAgain = std::chrono::milliseconds(50);
// Hints of messages that could not be read, and how soon they are tried again. Beyond them they wait for the
// next start.
constexpr size_t kUnreadableMax = 10'000;
constexpr Duration kTryAgain = std::chrono::seconds(10);

}  // namespace

// Is there no room at all for what it would bring about? Then it stays, and others go on.
bool Expirer::MustPass(const ExpiryPosition& position, Instant now) const {
  const Queue* queue = state_.FindQueue(position.queue);
  return queue != nullptr &&
         (now < queue->hints_wait_until || !state_.budget.WillAllow(queue->number, CostOfExpiry(*queue)));
}

void Expirer::Tick(Instant now) {
  if (now >= try_again_) TryUnreadable();
  std::vector<std::pair<ExpiryPosition, MessageId>> due;
  passed_ = false;
  const size_t most = locator_.HasRoomToSpare() ? TurnBudget::kArrowsPerPhase : 0;
  for (auto at = state_.expiry.begin();
       at != state_.expiry.end() && at->first.deadline <= now && due.size() < most; ++at) {
    if (MustPass(at->first, now)) {
      passed_ = true;
    } else {
      due.emplace_back(at->first, at->second);
    }
  }
  for (const auto& [position, id] : due) {
    if (!locator_.HasRoomToSpare() || !state_.budget.HasArrows() || state_.budget.IsFull()) break;
    if (!state_.expiry.Erase(position)) continue;
    if (IsVoid(position)) {
      RemoveHint(position);
    } else {
      Fire(position, id, now);
    }
  }
  Refill(now);
  Trim();
}

// Deleted or purged with its queue: the hint is all that was left.
bool Expirer::IsVoid(const ExpiryPosition& position) const {
  const Queue* queue = state_.FindQueue(position.queue);
  return queue == nullptr || position.seq < queue->ledger.floor_seq;
}

void Expirer::RemoveHint(const ExpiryPosition& position) {
  state_.budget.Spend();
  state_.turn.commit().SingleDelete(ExpiryKey(position));
  state_.turn.Require(Promise::kWritten);
}

void Expirer::Fire(const ExpiryPosition& position, const MessageId& id, Instant now) {
  state_.expiring.insert(position);
  const auto decide = [this, position](Message* message, Instant at) {
    if (state_.expiring.erase(position) == 0) return;  // its row is gone already
    if (IsVoid(position)) {
      RemoveHint(position);
      return;
    }
    Queue* queue = state_.FindQueue(position.queue);
    if (message == nullptr || message->queue != queue || message->seq != position.seq) return;
    if (message->hint != position.deadline) return;
    const bool is_parked = message->home == Message::Home::kParkedRow;
    const bool is_early = message->deadline() > at && !is_parked;  // the queue's TTL is longer now, or gone
    if (is_early && LacksRoomForHint(*queue)) return LetWait(*queue, position, message->id, at);
    if (!is_early && message->state == Message::State::kLeased) return;  // looked at when it returns
    const Cost cost = is_early ? CostOfHint(*queue) : CostOfExpiry(*queue);
    if (!state_.budget.Allows(queue->number, cost)) {
      state_.expiring.insert(position);
      state_.budget.Defer(Asker::Of(queue->number), queue->number, cost,
                          [this, position, id = message->id](Instant later) {
                            if (state_.expiring.contains(position)) Fire(position, id, later);
                            return true;
                          });
      return;
    }
    if (is_early) {
      life_cycle_.MoveHint(*message);
    } else if (is_parked) {
      life_cycle_.KeepParked(*message, at);
    } else {
      life_cycle_.Expire(*message, at);
    }
  };
  const auto fail = [this, position, id, now](const absl::Status&) { NoteUnreadable(position, id, now); };
  locator_.Find(id, now, decide, fail);
}

// It stays among those that expire: whoever removes the message, or its queue, removes the hint.
void Expirer::NoteUnreadable(const ExpiryPosition& position, const MessageId& id, Instant now) {
  if (!state_.expiring.contains(position)) return;
  if (unreadable_.size() >= kUnreadableMax) {
    state_.expiring.erase(position);
    return;
  }
  unreadable_.emplace_back(position, id);
  try_again_ = std::min(try_again_, now + kTryAgain);
}

void Expirer::TryUnreadable() {
  try_again_ = kNever;
  for (const auto& [position, id] : std::exchange(unreadable_, {})) {
    if (state_.expiring.erase(position) == 0) continue;  // its row is gone
    if (state_.expiry.Covers(position)) state_.expiry.Insert(position, id);
  }
}

// It makes a memory queue grow: that goes on when there is room again.
bool Expirer::LacksRoomForHint(const Queue& queue) {
  return queue.is_memory() && !state_.budget.RoomToGrow(kMovedHintBytes).ok();
}

void Expirer::LetWait(Queue& queue, const ExpiryPosition& position, const MessageId& id, Instant now) {
  queue.hints_wait_until = now + kLookAgain;
  if (state_.expiry.Covers(position)) state_.expiry.Insert(position, id);  // else it is read again
}

// Hints are small: a chunk of them is a fourth of the bytes.
Chunk Expirer::HintChunk() const {
  Chunk chunk = ChunkOf(state_);
  chunk.bytes = std::max<size_t>(chunk.bytes / 4, 1);
  return chunk;
}

void Expirer::Refill(Instant now) {
  auto& expiry = state_.expiry;
  const Chunk chunk = HintChunk();
  if (!RunsLow(expiry, chunk) || expiry.boundary().deadline - kHintsAhead > now || !reads_.HasRoom()) return;
  ReadChunk(reads_, expiry, ExpiryKey(expiry.boundary()), AllOf(RowKind::kExpiry).end, chunk,
            {.skip_damage = skips_damage_},
            [this](uint64_t flight, ReadResult result, Instant) { OnHints(flight, std::move(result)); });
}

void Expirer::OnHints(uint64_t flight, ReadResult result) {
  if (!state_.expiry.InFlight(flight)) return;
  if (!result.status.ok()) return GiveUp(result.status);
  std::vector<ExpiryPosition> keys;
  std::vector<std::optional<MessageId>> ids;
  for (const Row& row : result.rows) {
    const auto position = ParseExpiryKey(row.key);
    const auto id = DecodeExpiryHint(*row.value);
    if (!position.has_value() || !id.has_value()) {
      state_.ReportDamage(absl::DataLossError("an expiry hint makes no sense: a message may not expire"));
    }
    if (!position.has_value()) continue;
    keys.push_back(*position);
    ids.push_back(id);
  }
  if (keys.empty() && !result.end_reached)
    return GiveUp(absl::DataLossError("many expiry hints in a row make no sense: messages may not expire"));
  const auto taken =
      state_.expiry.FinishRead(keys, result.end_reached, [](const ExpiryPosition&) { return false; });
  for (const size_t index : taken) {
    if (ids[index].has_value()) state_.expiry.Insert(keys[index], *ids[index]);
  }
}

void Expirer::GiveUp(const absl::Status& why) {
  state_.ReportDamage(why);
  state_.expiry.AbandonRead();
  if (std::exchange(skips_damage_, true)) state_.expiry.SetAllResident();  // until the next start
}

// There may be millions of hints: at most an eighth of the memory for windows, then half of that.
void Expirer::Trim() {
  auto& expiry = state_.expiry;
  const size_t most = std::max(state_.options.window_bytes / 8, 4 * HintChunk().bytes);
  if (expiry.bytes() <= most) return;
  ExpiryPosition boundary;
  while (expiry.bytes() > most / 2) {
    const auto last = std::prev(expiry.end());
    boundary = last->first;
    expiry.Erase(last);
  }
  expiry.LowerBoundary(boundary);
}

Instant Expirer::NextDue(Instant now) const {
  auto& expiry = state_.expiry;
  if (!locator_.HasRoomToSpare()) return kNever;  // a read that completes is a reason of its own
  Instant next = expiry.empty() ? kNever : expiry.begin()->first.deadline;
  if (passed_) next = std::max(next, now + kLookAgain);
  next = std::min(next, try_again_);
  if (RunsLow(expiry, HintChunk())) next = std::min(next, expiry.boundary().deadline - kHintsAhead);
  return next;
}

}  // namespace baton
