// What a window read that cannot be read, or makes no sense: one queue stands still there, or leaves it out.
#include <fmt/format.h>

#include <utility>

#include "server/engine/residency.h"

namespace baton {
namespace {

constexpr Duration kDamageRetry = std::chrono::seconds(10);

// A window that claims to hold everything must; otherwise rows and ledger disagree and nothing can be
// trusted.
absl::Status LedgerDisagrees(const Queue& queue, std::string_view what, uint64_t missing) {
  return absl::DataLossError(
      fmt::format("queue {}: the ledger counts {} {} messages more than there are rows: the store is damaged",
                  queue.name, missing, what));
}

absl::Status SharesItsId(const Message& message) {
  return absl::DataLossError(
      fmt::format("queue {}: two messages have the id {}", message.queue->name, message.id.ToText()));
}

bool IsOfAWindow(std::string_view key) {
  return ParseReadyKey(key).has_value() || ParseDelayedKey(key).has_value();
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Message>>> Residency::Understand(Queue& queue,
                                                                            ReadResult& result) {
  if (!result.status.ok()) return result.status;
  std::vector<Row> rows = std::move(result.rows);
  result.rows.clear();
  std::vector<std::unique_ptr<Message>> messages;
  for (Row& row : rows) {
    absl::Status why = row.status;
    std::unique_ptr<Message> message;
    if (row.value.has_value() && (why.ok() || queue.skips_damage)) {
      message = MessageFromRow(queue, row.key, *row.value, row.companion);
      row.value.reset();  // the message has it now
      if (message == nullptr)
        why.Update(absl::DataLossError(fmt::format("queue {}: a message's row makes no sense", queue.name)));
    }
    if (!why.ok()) state_.ReportDamage(why);
    if (message == nullptr && !queue.skips_damage) {
      if (messages.empty()) return why;
      result.end_reached = false;
      break;
    }
    if (!IsOfAWindow(row.key)) continue;
    messages.push_back(std::move(message));
    result.rows.push_back(std::move(row));
  }
  // Not even their keys tell where they are: what is behind them cannot be asked for.
  if (messages.empty() && !rows.empty() && !result.end_reached)
    return absl::DataLossError(fmt::format("queue {}: many rows in a row make no sense", queue.name));
  if (!queue.awaits_repair()) queue.damage = absl::OkStatus();
  return messages;
}

Message* Residency::Admit(std::unique_ptr<Message> message, bool& awaits_repair, Instant now) {
  Queue& queue = *message->queue;
  if (state_.FindResident(message->id.seq) != nullptr) {
    absl::Status why = SharesItsId(*message);
    queue.skips_damage ? state_.ReportDamage(why) : NoteDamage(queue, awaits_repair, std::move(why), now);
    return nullptr;
  }
  message->commit = state_.turn.latest(queue.promise());
  return &life_cycle_.MakeResident(std::move(message));
}

void Residency::NoteDamage(Queue& queue, bool& awaits_repair, absl::Status why, Instant now) {
  queue.damage = {why.code(), fmt::format("queue {}: delivery stands still at what cannot be read: {}",
                                          queue.name, std::string(why.message()))};
  state_.ReportDamage(queue.damage);
  if (std::exchange(awaits_repair, true)) return;
  damaged_.push_back(queue.number);
  if (next_retry_ == kNever) next_retry_ = now + kDamageRetry;
}

void Residency::RetryDamaged(Instant now) {
  if (now < next_retry_) return;
  next_retry_ = kNever;
  std::vector<QueueId> damaged;
  damaged.swap(damaged_);
  for (const QueueId number : damaged) {
    Queue* queue = state_.FindQueue(number);
    if (queue == nullptr) continue;
    queue->ready_awaits_repair = queue->delayed_awaits_repair = false;
    RefillReady(*queue);
    RefillDelayed(*queue, now);
    Schedule(*queue, now);
  }
}

// Retries that were set by the old time are made at once.
void Residency::OnClockMoved(Duration by, Instant now) {
  if (next_retry_ != kNever) next_retry_ += by;
  for (auto& [name, queue] : state_.queues) {
    queue->read_when_due = false;
    Schedule(*queue, now);
  }
}

void Residency::Disagree(Queue& queue, std::string_view what, uint64_t missing, RowCount& count,
                         uint64_t bytes) {
  if (!queue.skips_damage) {
    state_.failure.Update(LedgerDisagrees(queue, what, missing));
    return;
  }
  // `missing` may be below zero: what was removed can be back where the block that said so is damaged.
  if (missing <= count.rows) {
    queue.counters.lost += missing;
  } else {
    queue.counters.found -= missing;
  }
  count = {.rows = count.rows - missing, .bytes = bytes};
  state_.ReportDamage(absl::DataLossError(fmt::format(
      "queue {}: {} {} messages could not be read and were left out", queue.name, missing, what)));
  state_.TouchLedger(queue);
}

}  // namespace baton
