#include "server/engine/overflow.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"

namespace baton {
namespace {

// What a queue may take over its limits while its victims are looked for.
constexpr uint64_t kAdmittedOverMax = 4'096;
constexpr uint64_t kAdmittedOverBytesMax = 32u << 20;
constexpr size_t kVictimsPerRead = 1'024;
constexpr size_t kLeasedPerRead = 64;
// When there was no room in this turn.
constexpr Duration kRetry = std::chrono::milliseconds(10);
// Of a message in shared memory, beyond its bytes, with its hint: at most.
constexpr uint64_t kRowBytes = 512;

absl::Status NeverFits(const Queue& queue, uint64_t bytes) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, reason::kQueueFull,
      fmt::format("the message has {} bytes, the queue {} takes at most {} (bytes_max); publish a "
                  "smaller one, or raise the limit",
                  bytes, queue.name, queue.config.bytes_max));
}

absl::Status QueueFull(const Queue& queue) {
  const QueueConfig& config = queue.config;
  std::string limits;
  if (config.messages_max != 0)
    limits += fmt::format(" {} of {} messages", queue.stored_count(), config.messages_max);
  if (config.bytes_max != 0) limits += fmt::format(" {} of {} bytes", queue.stored_bytes(), config.bytes_max);
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kQueueFull,
                   fmt::format("queue {} is full:{}; publish later, consume faster, or raise the limit",
                               queue.name, limits));
}

}  // namespace

Overflow::Plan Overflow::PlanRoom(Queue& queue, uint64_t bytes) const {
  const auto refuse = [](absl::Status why) { return Plan{.refusal = std::move(why)}; };
  if (queue.is_memory() && !queue.stored) {
    // A crash could lose the definition and keep that the sequence was accepted.
    return refuse(
        MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                  fmt::format("queue {} is being created: publish when that is answered", queue.name)));
  }
  const bool over = queue.IsOverLimits(queue.stored_count() + 1, queue.stored_bytes() + bytes);
  if (over && queue.config.bytes_max != 0 && bytes > queue.config.bytes_max)
    return refuse(NeverFits(queue, bytes));
  absl::Status room = queue.is_memory() ? state_.budget.RoomToGrow(bytes + kRowBytes) : absl::OkStatus();
  if (!room.ok() && !MayReplaceInMemory(queue, bytes)) return refuse(std::move(room));
  if (room.ok() && !over) return {.ends = Plan::Ends::kWithin};
  if (queue.config.overflow == OverflowPolicy::kReject) return refuse(QueueFull(queue));
  if (queue.spilled_ready() > 0) {
    Plan plan{.seeks = true, .ends = Plan::Ends::kOver};
    if (!MayBeOver(queue)) plan.refusal = QueueFull(queue);
    return plan;
  }
  Victims victims =
      Choose(queue, {.messages = 1, .bytes = bytes, .shared_memory = room.ok() ? 0 : bytes + kRowBytes});
  // A publish that is refused drops nothing.
  if (victims.end == Victims::End::kNoneLeft) return refuse(room.ok() ? QueueFull(queue) : std::move(room));
  const bool turn_is_full = victims.end == Victims::End::kTurnIsFull;
  if (turn_is_full && !room.ok()) return refuse(std::move(room));
  Plan plan{.victims = std::move(victims.messages),
            .ends = turn_is_full ? Plan::Ends::kOver : Plan::Ends::kWithin};
  if (turn_is_full && !MayBeOver(queue)) plan.refusal = QueueFull(queue);
  return plan;
}

void Overflow::Apply(Queue& queue, const Plan& plan, uint64_t bytes, Instant now) {
  if (plan.seeks) SeekVictims(queue);
  for (Message* victim : plan.victims) Evict(*victim, now);
  if (!plan.refusal.ok() || plan.ends == Plan::Ends::kNoRoom) return;
  if (plan.ends == Plan::Ends::kWithin) return IsWithin(queue);
  ++queue.admitted_over;
  queue.admitted_over_bytes += bytes;
  state_.over_limits.insert(queue.number);
}

bool Overflow::MustWait(const Queue& queue) {
  return !queue.lacks_victims &&
         (queue.admitted_over >= kAdmittedOverMax || queue.admitted_over_bytes >= kAdmittedOverBytesMax);
}

// Whoever could wait has asked before: one command may go beyond what may be taken.
bool Overflow::MayBeOver(const Queue& queue) {
  return !queue.lacks_victims || queue.admitted_over < kAdmittedOverMax;
}

void Overflow::IsWithin(Queue& queue) {
  queue.admitted_over = queue.admitted_over_bytes = 0;
  queue.victimless_passes = 0;
  queue.lacks_victims = false;
}

void Overflow::Tick(Instant now) {
  // What one gives up may come to another, which is over its limits then.
  for (const QueueId number : std::exchange(state_.over_limits, {})) {
    Queue* queue = state_.FindQueue(number);
    if (queue == nullptr) continue;
    if (!queue->is_over_limits() || queue->config.overflow == OverflowPolicy::kReject) {
      IsWithin(*queue);
      continue;
    }
    if (queue->lacks_victims) continue;  // the next that comes, or comes back, looks again
    state_.over_limits.insert(number);
    queue->spilled_ready() > 0 ? SeekVictims(*queue) : EvictResident(*queue, now);
  }
}

Instant Overflow::NextDue(Instant now) const { return state_.over_limits.empty() ? kNever : now + kRetry; }

void Overflow::EvictResident(Queue& queue, Instant now) {
  const Victims victims = Choose(queue, {});
  for (Message* victim : victims.messages) Evict(*victim, now);
  queue.lacks_victims = victims.end == Victims::End::kNoneLeft;
  if (!queue.is_over_limits()) IsWithin(queue);
}

// When shared memory is full a queue that drops its oldest gives up as much as it takes; the others are
// refused. The store has slots in hand to write again a message as large as its largest; a larger one would
// not fit.
bool Overflow::MayReplaceInMemory(const Queue& queue, uint64_t bytes) const {
  return queue.config.overflow == OverflowPolicy::kDropOldest && queue.spilled_ready() == 0 &&
         bytes + kRowBytes <= state_.budget.memory_room().largest;
}

Overflow::Victims Overflow::Choose(Queue& queue, const Wanted& wanted) const {
  Victims victims;
  uint64_t messages_left = queue.stored_count() + wanted.messages;
  uint64_t bytes_left = queue.stored_bytes() + wanted.bytes;
  const uint64_t messages_max = queue.config.messages_max;
  // A publish that is refused drops nothing; what is there anyhow makes as much room as it can.
  if (wanted.messages > 0 && messages_max != 0 && messages_left > messages_max + queue.ready.size())
    return victims;
  uint64_t memory_freed = 0;
  size_t spent = 0;
  const auto is_enough = [&] {
    return !queue.IsOverLimits(messages_left, bytes_left) && memory_freed >= wanted.shared_memory;
  };
  // The message itself is written after them, so what only removes counts as what rewrites here.
  const auto turn_is_full = [&] { return !state_.budget.AllowsBytes(queue.number, spent); };
  for (auto rank_end = queue.ready.end(); rank_end != queue.ready.begin();) {
    const auto oldest = queue.ready.lower_bound({.rank = std::prev(rank_end)->first.rank, .seq = Seq()});
    for (auto at = oldest; at != rank_end; ++at) {
      Message& victim = *at->second;
      if (turn_is_full()) {
        victims.end = Victims::End::kTurnIsFull;
        return victims;
      }
      spent += CostOf(victim);
      victims.messages.push_back(&victim);
      --messages_left;
      bytes_left -= victim.bytes();
      memory_freed += victim.bytes() + kRowBytes / 2;
      if (is_enough()) {
        victims.end = Victims::End::kEnough;
        return victims;
      }
    }
    rank_end = oldest;
  }
  return victims;
}

// Dropped, the keys of its rows; moved, its body is written again.
size_t Overflow::CostOf(const Message& victim) {
  return victim.queue->config.overflow == OverflowPolicy::kDropOldest ? kRowBytes / 2
                                                                      : victim.bytes() + 2 * kRowBytes;
}

bool Overflow::MayEvict(const Queue& queue) const {
  const bool drops = queue.config.overflow == OverflowPolicy::kDropOldest;
  return state_.budget.Allows(queue.number, drops ? Cost::kRemove : Cost::kRewrite);
}

void Overflow::Evict(Message& victim, Instant now) {
  Queue& queue = *victim.queue;
  if (queue.config.overflow == OverflowPolicy::kDeadLetterOldest) {
    life_cycle_.Dispose(victim, Disposal::kDeadLetter, kReasonQueueFull, now);
  } else {
    ++queue.counters.dropped;
    life_cycle_.Dispose(victim, Disposal::kDrop, kReasonQueueFull, now);
  }
}

void Overflow::SeekVictims(Queue& queue) {
  // What is not sought now is in another turn (Tick).
  if (queue.seeking_victims || !reads_.HasRoom() || !locator_.HasRoomToSpare() || !MayEvict(queue)) return;
  queue.seeking_victims = true;
  state_.over_limits.insert(queue.number);
  ReadLowestRank(queue, AllOf(RowKind::kReady, queue.number).end);
}

// Then there are no victims, for now.
bool Overflow::CouldNotRead(Queue& queue, const ReadResult& result) {
  if (result.status.ok()) return false;
  state_.ReportDamage(result.status);
  queue.seeking_victims = false;
  queue.lacks_victims = true;
  return true;
}

// From the end backwards, to the first message that is not leased: its rank is the lowest that has victims.
void Overflow::ReadLowestRank(const Queue& queue, std::string before) {
  ReadRequest request;
  request.begin = AllOf(RowKind::kReady, queue.number).begin;
  request.end = std::move(before);
  request.rows_max = 1 + std::min(queue.leased.size(), kLeasedPerRead);
  request.bytes_max = state_.options.chunk_bytes;
  request.reverse = true;
  reads_.Start(std::move(request), [this, number = queue.number](const ReadResult& result, Instant) {
    OnLowestRank(number, result);
  });
}

void Overflow::OnLowestRank(QueueId number, const ReadResult& result) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr || CouldNotRead(*queue, result)) return;
  for (const Row& row : result.rows) {
    const auto parts = ParseReadyKey(row.key);
    if (!parts.has_value()) {
      state_.failure.Update(
          absl::DataLossError(fmt::format("queue {}: a message row cannot be read", queue->name)));
      return;
    }
    if (queue->leased.contains(parts->position)) continue;
    const ReadyPosition rank_begin{.rank = parts->position.rank, .seq = Seq()};
    ReadVictims(*queue, std::max({rank_begin, queue->victims_from, queue->ledger.head}));
    return;
  }
  if (result.end_reached) {  // all of it is leased or delayed
    queue->lacks_victims = true;
    EndSearch(*queue);
  } else {
    ReadLowestRank(*queue, result.rows.back().key);
  }
}

void Overflow::ReadVictims(const Queue& queue, ReadyPosition from) {
  ReadRequest request;
  request.begin = ReadyKey(queue.number, from);
  request.end = AllOf(RowKind::kReady, queue.number).end;
  request.rows_max = kVictimsPerRead;
  request.bytes_max = state_.options.chunk_bytes;
  reads_.Start(std::move(request), [this, number = queue.number](const ReadResult& rows, Instant now) {
    OnVictims(number, rows, now);
  });
}

// Names as many victims as it takes, the oldest first; each is then looked at again (Locator) and decided on.
void Overflow::OnVictims(QueueId number, const ReadResult& result, Instant now) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr || CouldNotRead(*queue, result)) return;
  // What the queue will hold without the victims named so far.
  uint64_t messages = queue->stored_count();
  uint64_t bytes = queue->stored_bytes();
  std::vector<MessageId> victims;
  std::optional<ReadyPosition> last;
  for (const Row& row : result.rows) {
    if (!queue->IsOverLimits(messages, bytes)) break;
    const auto view = MessageFromRow(*queue, row.key, *row.value, std::nullopt);
    if (view == nullptr) continue;
    last = view->position();
    if (queue->leased.contains(*last) || view->bytes() > bytes) continue;
    victims.push_back(view->id);
    --messages;
    bytes -= view->bytes();
  }
  if (victims.empty()) {
    if (!queue->is_over_limits()) return EndSearch(*queue);
    if (!result.end_reached && last.has_value()) return ReadVictims(*queue, Successor(*last));
    // The oldest are all leased; or there are older ones again.
    queue->victims_from = {};
    queue->lacks_victims = ++queue->victimless_passes > 1;
    return EndSearch(*queue);
  }
  queue->victims_from = Successor(*last);
  struct Search {
    size_t left;
    bool put_off = false;
    bool evicted = false;
  };
  const auto search = std::make_shared<Search>(Search{.left = victims.size()});
  for (const MessageId& id : victims) {
    locator_.Find(id, now, [this, number, search](Message* message, Instant at) {
      Queue* still = state_.FindQueue(number);
      if (still == nullptr) return;
      const bool takeable = message != nullptr && message->queue == still &&
                            message->state != Message::State::kLeased &&
                            message->home == Message::Home::kReadyRow;
      if (takeable && still->is_over_limits()) {
        if (MayEvict(*still)) {
          Evict(*message, at);
          search->evicted = true;
        } else {
          search->put_off = true;
          still->victims_from = std::min(still->victims_from, message->position());
        }
      }
      if (--search->left > 0) return;
      if (search->evicted) {
        still->lacks_victims = false;
        still->victimless_passes = 0;
      }
      EndSearch(*still);
    });
  }
}

void Overflow::EndSearch(Queue& queue) {
  queue.seeking_victims = false;
  if (!queue.is_over_limits()) IsWithin(queue);
}

}  // namespace baton
