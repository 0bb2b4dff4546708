#include "server/engine/ttl_walk.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/engine/arrow_cost.h"
#include "server/engine/window_reader.h"

namespace baton {
namespace {

constexpr size_t kRowsPerShare = 1'024;
// When the store is behind; when shared memory is full.
constexpr Duration kPause = std::chrono::milliseconds(10);
constexpr Duration kPauseForMemory = std::chrono::seconds(1);
// When rows could not be read, which need not be the disk's last word.
constexpr Duration kWalkAgain = std::chrono::minutes(1);

// A clock was set back since it was delayed.
bool IsDueLate(const Message& message) {
  return message.home == Message::Home::kDelayedRow && message.due_meant() < message.due;
}

}  // namespace

void TtlWalk::Begin(Queue& queue) {
  queue.hints_are_late = true;
  const auto found = std::find(queues_.begin(), queues_.end(), queue.number);
  if (found == queues_.end()) queues_.push_back(queue.number);
  if (queues_.front() == queue.number) Restart();
}

void TtlWalk::Restart() {
  ++walk_;
  kind_ = RowKind::kReady;
  from_.clear();
  busy_ = passed_over_ = skips_damage_ = missed_some_ = false;
  resume_ = {};
}

void TtlWalk::Tick(Instant now) {
  state_.budget.BeginPhase();
  while (!again_.empty() && again_.front().first <= now) {
    Queue* queue = state_.FindQueue(again_.front().second);
    again_.pop_front();
    if (queue != nullptr && queue->hints_are_late) Begin(*queue);
  }
  while (!queues_.empty() && !busy_ && resume_ <= now) {
    const Queue* queue = state_.FindQueue(queues_.front());
    if (queue == nullptr) {
      queues_.pop_front();
      Restart();
      continue;
    }
    const bool is_ready = kind_ == RowKind::kReady;
    const uint64_t rows = is_ready ? queue->ledger.ready.rows : queue->ledger.delayed.rows;
    if (rows == 0) {
      EndKind(now);
      continue;
    }
    if (reads_.HasRoom() && locator_.HasRoomToSpare()) {
      ReadOn(*queue);
    } else {
      resume_ = now + kPause;
    }
  }
}

void TtlWalk::ReadOn(const Queue& queue) {
  const KeyRange all = AllOf(kind_, queue.number);
  ReadRequest request;
  request.begin = from_.empty() ? all.begin : from_;
  request.end = all.end;
  request.rows_max = kRowsPerShare;
  request.bytes_max = ChunkOf(state_).bytes;
  request.skip_damage = skips_damage_ || queue.skips_damage;
  if (queue.ledger.attempt_rows > 0) request.companion = &AttemptsKeyOfRow;
  busy_ = true;
  reads_.Start(std::move(request),
               [this, number = queue.number, walk = walk_](const ReadResult& result, Instant now) {
                 if (walk == walk_) OnRows(number, walk, result, now);
               });
}

// Those whose hint is late are looked at again, for what was read may have changed since.
void TtlWalk::OnRows(QueueId number, uint64_t walk, const ReadResult& result, Instant now) {
  busy_ = false;
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) return;
  if (!result.status.ok()) {
    state_.ReportDamage(result.status);
    Miss(*queue);
    if (std::exchange(skips_damage_, true)) EndKind(now);  // what cannot be read is not delivered either
    return;
  }
  const auto share = std::make_shared<Share>(Share{.walk = walk, .is_last = result.end_reached});
  if (!result.rows.empty()) share->next = result.rows.back().key + '\0';
  std::vector<std::pair<MessageId, std::string>> late;
  if (result.skipped > 0) Miss(*queue);
  for (const Row& row : result.rows) {
    const auto view = row.status.ok() ? MessageFromRow(*queue, row.key, *row.value, row.companion) : nullptr;
    if (view == nullptr) Miss(*queue);
    if (view != nullptr && (view->hint > view->deadline() || IsDueLate(*view)))
      late.emplace_back(view->id, row.key);
  }
  if (late.empty()) return EndShare(*share, now);
  busy_ = true;
  share->left = late.size();
  for (auto& [id, key] : late) {
    const auto conclude = [this, share](Instant at) {
      if (--share->left == 0 && share->walk == walk_) EndShare(*share, at);
    };
    locator_.Find(
        id, now,
        [this, number, key = std::move(key), share, conclude](Message* message, Instant at) {
          Correct(message, number, key, *share, at);
          conclude(at);
        },
        [this, number, share, conclude, now](const absl::Status&) {
          const Queue* still = state_.FindQueue(number);
          if (still != nullptr && share->walk == walk_) Miss(*still);
          conclude(now);
        });
  }
}

// Where the queue skips damage, what cannot be read is lost.
void TtlWalk::Miss(const Queue& queue) { missed_some_ |= !queue.skips_damage; }

void TtlWalk::OnClockMoved() {
  resume_ = {};
  for (auto& [at, queue] : again_) at = {};
}

Instant TtlWalk::NextDue(Instant) const {
  const Instant next = queues_.empty() || busy_ ? kNever : resume_;
  return again_.empty() ? next : std::min(next, again_.front().first);
}

void TtlWalk::Correct(Message* message, QueueId number, const std::string& key, Share& share, Instant now) {
  if (message == nullptr || message->queue->number != number) return;
  Queue& queue = *message->queue;
  const bool is_late = message->hint > message->deadline();
  const bool is_waiting =
      message->state == Message::State::kDelayed || message->state == Message::State::kSpilled;
  const bool is_due_late = is_waiting && IsDueLate(*message);
  if (!is_late && !is_due_late) return;
  const bool is_over = is_late && message->deadline() <= now && message->state != Message::State::kLeased;
  const Cost cost = is_over ? CostOfExpiry(queue) : is_due_late ? Cost::kRewrite : CostOfHint(queue);
  if (!state_.budget.HasArrows() || !state_.budget.Allows(number, cost)) {
    if (!state_.budget.WillAllow(number, cost)) share.pause = kPause;
    if (!share.refused.has_value() || key < *share.refused) share.refused = key;
  } else if (is_over) {
    life_cycle_.Expire(*message, now);
  } else if (queue.is_memory() && !state_.budget.RoomToGrow(kMovedHintBytes).ok()) {
    passed_over_ = true;
  } else if (is_due_late) {
    life_cycle_.CorrectDue(*message);  // with its hint
  } else {
    life_cycle_.MoveHint(*message);
  }
}

void TtlWalk::EndShare(const Share& share, Instant now) {
  busy_ = false;
  resume_ = now + share.pause;
  if (share.refused.has_value()) {
    from_ = *share.refused;
  } else if (share.is_last) {
    EndKind(now);
  } else {
    from_ = share.next;
  }
}

void TtlWalk::EndKind(Instant now) {
  if (kind_ == RowKind::kReady) {
    kind_ = RowKind::kDelayed;
    from_.clear();
    return;
  }
  if (passed_over_) {
    Restart();
    resume_ = now + kPauseForMemory;
    return;
  }
  Queue* queue = state_.FindQueue(queues_.front());
  if (missed_some_) {
    again_.emplace_back(now + kWalkAgain, queues_.front());
  } else if (queue != nullptr) {
    queue->hints_are_late = false;
    state_.StoreDefinition(*queue);
  }
  queues_.pop_front();
  Restart();
}

}  // namespace baton
