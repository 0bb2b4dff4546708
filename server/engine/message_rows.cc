#include "server/engine/message_rows.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace baton {
namespace {

RowCount& CountOf(LedgerRecord& ledger, Message::Home home) {
  switch (home) {
    case Message::Home::kReadyRow:
      return ledger.ready;
    case Message::Home::kDelayedRow:
      return ledger.delayed;
    case Message::Home::kParkedRow:
      break;
  }
  return ledger.parked;
}

// Is its row where it was born? Then it needs no locator, and its key tells its id.
bool IsAtBirth(const Message& message) {
  const MessageId& id = message.id;
  if (id.queue != message.queue->number || id.seq != message.seq) return false;
  if (id.birth == MessageId::Birth::kReady) {
    return message.home == Message::Home::kReadyRow && id.place == message.rank();
  }
  return message.home == Message::Home::kDelayedRow &&
         id.place == static_cast<uint64_t>(ToMicros(message.due));
}

// When a message came to its queue of which nothing else is said.
Instant ArrivalOf(const MessageRecord& record) { return record.hops > 0 ? kNever : record.born; }

ExpiryPosition ExpiryOf(const Message& message) { return {message.hint, message.queue->number, message.seq}; }

}  // namespace

std::string BirthKeyOf(const MessageId& id) {
  if (id.birth == MessageId::Birth::kReady) return ReadyKey(id.queue, {.rank = id.place, .seq = id.seq});
  return DelayedKey(id.queue, {.due = InstantFromMicros(static_cast<int64_t>(id.place)), .seq = id.seq});
}

std::string AttemptsKeyOfRow(std::string_view row_key) {
  if (const auto ready = ParseReadyKey(row_key)) return AttemptsKey(ready->queue, ready->position.seq);
  if (const auto delayed = ParseDelayedKey(row_key))
    return AttemptsKey(delayed->queue, delayed->position.seq);
  if (const auto parked = ParseParkedKey(row_key)) return AttemptsKey(parked->queue, parked->seq);
  return {};
}

std::string_view MessageRows::KeyOf(const Message& message) {
  const QueueId queue = message.queue->number;
  switch (message.home) {
    case Message::Home::kReadyRow:
      key_.clear();
      AppendReadyKey(key_, queue, message.position());
      return key_;
    case Message::Home::kDelayedRow:
      return key_ = DelayedKey(queue, message.delayed_position());
    case Message::Home::kParkedRow:
      break;
  }
  return key_ = ParkedKey(queue, message.seq);
}

void MessageRows::Put(Message& message, std::string_view parked_reason) {
  BATON_CHECK(message.has_content()) << message.id.seq;
  Queue& queue = *message.queue;
  const std::string_view key = KeyOf(message);
  const bool at_birth = IsAtBirth(message);
  MessageRecord record{.priority = message.priority,
                       .born = message.born,
                       .deadline = message.hint,
                       .producer = message.producer,
                       .sequence = message.sequence,
                       .id = {},
                       .hops = message.hops,
                       .reason = parked_reason,
                       .own_deadline = {},
                       .delay_stamp = {},
                       .arrived = {},
                       .headers = message.headers,
                       .body = {}};
  if (!at_birth) record.id = message.id;
  if (message.own_deadline != message.hint) record.own_deadline = message.own_deadline;
  if (message.arrived != ArrivalOf(record)) record.arrived = message.arrived;
  if (message.home == Message::Home::kDelayedRow && message.due_stamp != message.seq)
    record.delay_stamp = message.due_stamp;
  Commit& commit = state_.turn.commit();
  head_.clear();
  AppendMessageHead(head_, record);
  commit.Put(key, head_, message.body);
  if (!at_birth) commit.PutLocator(LocatorKey(message.id.seq), key);
  message.commit = state_.turn.current();

  RowCount& count = CountOf(queue.ledger, message.home);
  ++count.rows;
  count.bytes += message.bytes();
  state_.TouchLedger(queue);
  if (message.home == Message::Home::kReadyRow) queue.ready.NotePut(message.position());
  if (message.home == Message::Home::kDelayedRow) queue.delayed.NotePut(message.delayed_position());
}

void MessageRows::Remove(const Message& message) {
  Queue& queue = *message.queue;
  Commit& commit = state_.turn.commit();
  ++queue.removals;
  commit.SingleDelete(KeyOf(message));
  if (!IsAtBirth(message)) commit.DeleteLocator(LocatorKey(message.id.seq), queue.number);

  RowCount& count = CountOf(queue.ledger, message.home);
  if (count.rows == 0 || count.bytes < message.bytes()) Distrust(queue);
  count.rows > 0 ? --count.rows : ++queue.counters.found;  // it was there, uncounted
  count.bytes -= std::min<uint64_t>(count.bytes, message.bytes());
  state_.TouchLedger(queue);
  if (message.home == Message::Home::kReadyRow) queue.ready.NoteRemoved(message.position());
  if (message.home == Message::Home::kDelayedRow) queue.delayed.NoteRemoved(message.delayed_position());
}

void MessageRows::Arrive(Message& message) {
  message.queue->ledger.births.Add(message.born);
  state_.TouchLedger(*message.queue);
  PutHint(message);
}

void MessageRows::PutHint(const Message& message) {
  if (message.hint == kNever) return;
  const ExpiryPosition position = ExpiryOf(message);
  state_.turn.commit().Put(ExpiryKey(position), EncodeExpiryHint(message.id));
  if (state_.expiry.Covers(position)) {
    state_.expiry.Insert(position, message.id);
  } else {
    state_.expiry.NotePut(position);
  }
}

void MessageRows::Leave(const Message& message) {
  Queue& queue = *message.queue;
  Remove(message);
  if (!queue.ledger.births.Take(message.born)) Distrust(queue);
  RemoveHint(message);
  if (message.has_attempts_row()) {
    state_.turn.commit().Delete(AttemptsKey(queue.number, message.seq));
    if (queue.ledger.attempt_rows == 0) Distrust(queue);
    queue.ledger.attempt_rows -= std::min<uint64_t>(queue.ledger.attempt_rows, 1);
  }
}

void MessageRows::Distrust(const Queue& queue) {
  if (queue.skips_damage) return;  // messages may be there that the ledger does not count
  state_.failure.Update(absl::DataLossError(fmt::format(
      "queue {}: the ledger counts fewer messages than there are rows: the store is damaged", queue.name)));
}

void MessageRows::EndTtl(Message& message) {
  RemoveHint(message);
  message.hint = message.own_deadline = kNever;
  if (!std::exchange(message.hint_was_moved, false)) return;
  if (message.attempts > 0) return RewriteAttempts(message);
  Queue& queue = *message.queue;
  state_.turn.commit().Delete(AttemptsKey(queue.number, message.seq));
  queue.ledger.attempt_rows -= std::min<uint64_t>(queue.ledger.attempt_rows, 1);
  state_.TouchLedger(queue);
}

// A read of its row that is on its way brings the old one of its attempts.
void MessageRows::MoveHint(Message& message) {
  Queue& queue = *message.queue;
  RemoveHint(message);
  message.hint = message.deadline();
  PutHint(message);
  if (!message.has_attempts_row()) ++queue.ledger.attempt_rows;
  message.hint_was_moved = true;
  RewriteAttempts(message);
  if (message.home == Message::Home::kReadyRow) queue.ready.NotePut(message.position());
  if (message.home == Message::Home::kDelayedRow) queue.delayed.NotePut(message.delayed_position());
}

void MessageRows::RemoveHint(const Message& message) {
  if (message.hint == kNever) return;
  const ExpiryPosition position = ExpiryOf(message);
  state_.turn.commit().SingleDelete(ExpiryKey(position));
  state_.expiry.Erase(position);
  state_.expiry.NoteRemoved(position);
  state_.expiring.erase(position);
}

void MessageRows::PutAttempts(const Message& message) {
  Queue& queue = *message.queue;
  BATON_CHECK_GT(message.attempts, 0u);
  if (message.attempts == 1 && !message.hint_was_moved) ++queue.ledger.attempt_rows;
  RewriteAttempts(message);
}

void MessageRows::RewriteAttempts(const Message& message) {
  Queue& queue = *message.queue;
  state_.turn.commit().Put(
      AttemptsKey(queue.number, message.seq),
      EncodeAttempts({.count = message.attempts,
                      .reason = message.last_reason,
                      .hint = message.hint_was_moved ? std::optional(message.hint) : std::nullopt}));
  state_.TouchLedger(queue);
}

void MessageRows::Forget(const Message& message) {
  if (message.queue->is_memory()) return;  // the store finds them, and removes them piece by piece
  if (!IsAtBirth(message))
    state_.turn.commit().DeleteLocator(LocatorKey(message.id.seq), message.queue->number);
  if (message.hint == kNever) return;
  // A hint that was due during the lease does not come again.
  const ExpiryPosition position = ExpiryOf(message);
  const bool still_to_come = !state_.expiry.Covers(position) ||
                             state_.expiry.find(position) != state_.expiry.end() ||
                             state_.expiring.contains(position);
  if (!still_to_come) state_.turn.commit().SingleDelete(ExpiryKey(position));
}

void MessageRows::RemoveAll(Queue& queue) {
  Commit& commit = state_.turn.commit();
  LedgerRecord& ledger = queue.ledger;
  const std::pair<RowKind, uint64_t> kinds[] = {{RowKind::kReady, ledger.ready.rows},
                                                {RowKind::kDelayed, ledger.delayed.rows},
                                                {RowKind::kParked, ledger.parked.rows},
                                                {RowKind::kAttempts, ledger.attempt_rows}};
  for (const auto& [kind, rows] : kinds) {
    // What is deleted costs every read of the store something until it is compacted.
    if (rows == 0 && !queue.skips_damage) continue;
    const KeyRange range = AllOf(kind, queue.number);
    commit.DeleteRange(range.begin, range.end);
  }
  ledger.ready = ledger.delayed = ledger.parked = {};
  ledger.attempt_rows = 0;
  ledger.births.Clear();
  ++ledger.generation;
  ledger.floor_seq = state_.numbers.Upcoming();
  state_.TouchLedger(queue);
}

std::unique_ptr<Message> MessageFromRow(Queue& queue, std::string_view key, std::string_view value,
                                        const std::optional<std::string>& attempts) {
  const auto record = DecodeMessage(value);
  if (!record.has_value()) return nullptr;
  auto message = std::make_unique<Message>();
  message->queue = &queue;
  message->priority = record->priority;
  message->hops = record->hops;
  message->born = record->born;
  message->arrived = record->arrived.value_or(ArrivalOf(*record));
  message->own_deadline = record->own_deadline.value_or(record->deadline);
  message->hint = record->deadline;
  message->producer = record->producer;
  message->sequence = record->sequence;
  message->headers = record->headers;
  message->body = record->body;
  MessageId birth{
      .birth = MessageId::Birth::kReady, .lane = kMainLane, .queue = queue.number, .seq = {}, .place = 0};
  if (const auto ready = ParseReadyKey(key)) {
    message->home = Message::Home::kReadyRow;
    message->seq = ready->position.seq;
    birth.place = ready->position.rank;
    if (ready->queue != queue.number || ready->position.rank != message->rank()) return nullptr;
  } else if (const auto delayed = ParseDelayedKey(key)) {
    message->home = Message::Home::kDelayedRow;
    message->seq = delayed->position.seq;
    message->due = delayed->position.due;
    message->due_stamp = record->delay_stamp.value_or(message->seq);
    birth.birth = MessageId::Birth::kDelayed;
    birth.place = static_cast<uint64_t>(ToMicros(message->due));
    if (delayed->queue != queue.number) return nullptr;
  } else if (const auto parked = ParseParkedKey(key); parked.has_value() && record->id.has_value()) {
    message->home = Message::Home::kParkedRow;
    message->seq = parked->seq;
    message->last_reason = record->reason;
    if (parked->queue != queue.number) return nullptr;
  } else {
    return nullptr;
  }
  birth.seq = message->seq;
  message->id = record->id.value_or(birth);
  if (attempts.has_value()) {
    const auto decoded = DecodeAttempts(*attempts);
    if (!decoded.has_value()) return nullptr;
    message->attempts = decoded->count;
    message->hint_was_moved = decoded->hint.has_value();
    message->hint = decoded->hint.value_or(message->hint);
    if (message->home != Message::Home::kParkedRow) message->last_reason = decoded->reason;
  }
  return message;
}

}  // namespace baton
