#include "server/engine/overflow.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace baton {
namespace {

// How far a spilled queue may be over its limit while its victims are read.
constexpr uint64_t kVictimsWantedMax = 4'096;
constexpr size_t kVictimsPerRead = 256;

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

bool Overflow::IsOver(const Queue& queue, uint64_t bytes) const {
  const QueueConfig& config = queue.config;
  return (config.messages_max != 0 && queue.stored_count() + 1 > config.messages_max) ||
         (config.bytes_max != 0 && queue.stored_bytes() + bytes > config.bytes_max);
}

bool Overflow::IsOverNow(const Queue& queue) const {
  const QueueConfig& config = queue.config;
  return (config.messages_max != 0 && queue.stored_count() > config.messages_max) ||
         (config.bytes_max != 0 && queue.stored_bytes() > config.bytes_max);
}

absl::Status Overflow::MakeRoom(Queue& queue, uint64_t bytes, Instant now) {
  if (!IsOver(queue, bytes)) return absl::OkStatus();
  const bool never_fits = queue.config.bytes_max != 0 && bytes > queue.config.bytes_max;
  if (queue.config.overflow == OverflowPolicy::kReject || never_fits) return QueueFull(queue);
  if (queue.spilled_ready() > 0) {
    if (queue.victims_wanted >= kVictimsWantedMax) return QueueFull(queue);
    ++queue.victims_wanted;
    ReadVictims(queue);
    return absl::OkStatus();
  }
  while (IsOver(queue, bytes)) {
    if (queue.ready.empty()) return QueueFull(queue);  // all of it is leased or delayed
    const uint64_t lowest = std::prev(queue.ready.end())->first.rank;
    Evict(*queue.ready.lower_bound({.rank = lowest, .seq = Seq()})->second, now);
  }
  return absl::OkStatus();
}

void Overflow::Evict(Message& victim, Instant now) {
  Queue& queue = *victim.queue;
  if (queue.config.overflow == OverflowPolicy::kDeadLetterOldest) {
    life_cycle_.Dispose(victim, Disposal::kDeadLetter, "queue full", now);
  } else {
    ++queue.counters.dropped;
    life_cycle_.Dispose(victim, Disposal::kDrop, "queue full", now);
  }
}

// First the lowest rank there is, then its oldest messages; each victim is then looked at again (Locator) and
// decided on.
void Overflow::ReadVictims(Queue& queue) {
  if (queue.victims_wanted == 0 || queue.victims_reading) return;
  queue.victims_reading = true;
  const KeyRange range = AllOf(RowKind::kReady, queue.number);
  ReadRequest request;
  request.begin = range.begin;
  request.end = range.end;
  request.rows_max = 1;
  request.bytes_max = 1;
  request.reverse = true;
  reads_.Start(std::move(request), [this, number = queue.number](const ReadResult& result, Instant) {
    OnLowestRank(number, result);
  });
}

void Overflow::OnLowestRank(QueueId number, const ReadResult& result) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) return;
  if (result.rows.empty()) {
    queue->victims_reading = false;
    queue->victims_wanted = 0;
    return;
  }
  const auto last = ParseReadyKey(result.rows.front().key);
  ReadRequest request;
  request.begin = ReadyKey(number, {.rank = last.value().position.rank, .seq = Seq()});
  request.end = AllOf(RowKind::kReady, number).end;
  request.rows_max = std::min<size_t>(queue->victims_wanted + queue->leased.size(), kVictimsPerRead);
  request.bytes_max = state_.options.chunk_bytes;
  reads_.Start(std::move(request),
               [this, number](const ReadResult& rows, Instant now) { OnVictims(number, rows, now); });
}

void Overflow::OnVictims(QueueId number, const ReadResult& result, Instant now) {
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) return;
  queue->victims_reading = false;
  for (const Row& row : result.rows) {
    if (queue->victims_wanted == 0) break;
    const auto view = MessageFromRow(*queue, row.key, *row.value, std::nullopt);
    if (view == nullptr) {
      state_.failure.Update(
          absl::DataLossError(fmt::format("queue {}: a message row cannot be read", queue->name)));
      return;
    }
    --queue->victims_wanted;
    locator_.Find(view->id, now, [this, number](Message* message, Instant at) {
      const Queue* still = state_.FindQueue(number);
      const bool takeable = still != nullptr && message != nullptr && message->queue == still &&
                            message->state != Message::State::kLeased &&
                            message->home == Message::Home::kReadyRow;
      if (takeable && IsOverNow(*still)) Evict(*message, at);
    });
  }
  // Whoever is left over: leased ones were in the way, or there are more victims than one read names.
  if (queue->spilled_ready() == 0) queue->victims_wanted = 0;
  if (queue->victims_wanted > 0 && !result.rows.empty()) ReadVictims(*queue);
}

}  // namespace baton
