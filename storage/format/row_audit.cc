#include "storage/format/row_audit.h"

#include <fmt/format.h>

#include "base/coding.h"

namespace baton {
namespace {

absl::Status Wrong(std::string_view what) {
  return absl::DataLossError(fmt::format("its rows make no sense: {}", what));
}

absl::Status Wrong(QueueId queue, std::string_view what) {
  return Wrong(fmt::format("queue number {}: {}", queue.value(), what));
}

uint64_t Micros(Instant instant) { return static_cast<uint64_t>(ToMicros(instant)); }

}  // namespace

RowAudit::RowAudit(const std::set<QueueId>& queues, Find find) : find_(std::move(find)) {
  for (const QueueId queue : queues) queues_.try_emplace(queue);
}

RowAudit::Counted* RowAudit::FindQueue(QueueId queue) {
  const auto found = queues_.find(queue);
  return found == queues_.end() ? nullptr : &found->second;
}

bool RowAudit::IsIdle(QueueId queue, Seq seq) {
  const Counted* counted = FindQueue(queue);
  return counted == nullptr || !counted->has_ledger || seq < counted->ledger.floor_seq;
}

absl::Status RowAudit::AddLedger(std::string_view key, std::string_view value) {
  ByteReader reader(key.substr(1));
  const QueueId number(reader.Fixed32());
  const auto row = find_(BirthsKey(number));
  const auto births = row.has_value() ? DecodeBirths(*row) : BirthBuckets();
  if (!births.has_value()) return Wrong(number, "the births of its messages cannot be read");
  const auto ledger = DecodeLedger(value, *births);
  if (!reader.AtEnd() || !ledger.has_value()) return Wrong("a ledger cannot be read");
  if (Counted* queue = FindQueue(number)) {
    queue->ledger = *ledger;
    queue->births = ledger->births;
    queue->has_ledger = true;
  }
  return absl::OkStatus();
}

absl::Status RowAudit::Add(std::string_view key, std::string_view value) {
  const auto kind = static_cast<RowKind>(key.at(0));
  switch (kind) {
    case RowKind::kReady:
    case RowKind::kDelayed:
    case RowKind::kParked: {
      const auto home = ParseMessageKey(key);
      return home.has_value() ? AddMessage(*home, key, value) : Wrong("the key of a message cannot be read");
    }
    case RowKind::kAttempts:
      return AddAttempts(key, value);
    case RowKind::kLocator:
      return AddLocator(key, value);
    case RowKind::kExpiry:
      return AddHint(key, value);
    case RowKind::kLedger:
    case RowKind::kBirths: {
      ByteReader reader(key.substr(1));
      return FindQueue(QueueId(reader.Fixed32())) != nullptr ? absl::OkStatus() : Idle(key);
    }
    case RowKind::kMemoryProducer:
    case RowKind::kProducer: {
      const bool is_read = key.size() == ProducerKey({}).size() && DecodeProducer(value).has_value();
      return is_read ? absl::OkStatus() : Wrong("what a producer has published cannot be read");
    }
    case RowKind::kQueue:
    case RowKind::kMeta:
      break;
  }
  return Wrong("a row of a kind that does not belong there");
}

absl::Status RowAudit::AddMessage(const MessageKeyParts& home, std::string_view key, std::string_view value) {
  Counted* queue = FindQueue(home.queue);
  if (queue == nullptr) return Idle(key);
  if (!queue->has_ledger) return Wrong(home.queue, "messages without a ledger");
  const auto record = DecodeMessage(value);
  if (!record.has_value()) return Wrong(home.queue, "a message cannot be read");
  const LedgerRecord& ledger = queue->ledger;
  if (home.kind == RowKind::kReady && home.ready.rank != RankOfPriority(record->priority))
    return Wrong(home.queue, "a message is not where its priority belongs");
  const bool before_head = home.kind == RowKind::kReady && home.ready < ledger.head;
  const bool before_due = home.kind == RowKind::kDelayed && home.delayed.due < ledger.next_due;
  if (before_head || before_due || home.seq < ledger.floor_seq)
    return Wrong(home.queue, "a message is before the first one");
  RowCount& count = home.kind == RowKind::kReady     ? queue->ready
                    : home.kind == RowKind::kDelayed ? queue->delayed
                                                     : queue->parked;
  ++count.rows;
  count.bytes += record->headers.size() + record->body.size();
  if (!queue->births.Take(record->born)) return Wrong(home.queue, "its ledger does not count a birth");
  if (!attempts_.empty()) attempts_.erase({home.queue, home.seq});
  return CheckId(home, key, *record);
}

// The id: told by the key where the message was born, else in the record, and then a locator leads here.
absl::Status RowAudit::CheckId(const MessageKeyParts& home, std::string_view key,
                               const MessageRecord& record) {
  const bool is_ready = home.kind == RowKind::kReady;
  MessageId id{.birth = is_ready ? MessageId::Birth::kReady : MessageId::Birth::kDelayed,
               .lane = kMainLane,
               .queue = home.queue,
               .seq = home.seq,
               .place = is_ready ? home.ready.rank : Micros(home.delayed.due)};
  if (record.id.has_value()) {
    if (*record.id == id && home.kind != RowKind::kParked)
      return Wrong(home.queue, "an id that says nothing");
    id = *record.id;
    const auto locator = find_(LocatorKey(id.seq));
    if (!locator.has_value() || DecodeLocator(*locator) != key)
      return Wrong(home.queue, "a message cannot be found by its id");
    ++moved_;
  } else if (home.kind == RowKind::kParked) {
    return Wrong(home.queue, "a parked message has no id");
  }
  Instant deadline = record.deadline;
  if (queues_.at(home.queue).ledger.attempt_rows > 0) {
    const auto row = find_(AttemptsKey(home.queue, home.seq));
    const auto attempts = row.has_value() ? DecodeAttempts(*row) : std::nullopt;
    if (attempts.has_value()) deadline = attempts->hint.value_or(deadline);
  }
  if (deadline == kNever) return absl::OkStatus();
  const auto hint = find_(ExpiryKey({deadline, home.queue, home.seq}));
  if (!hint.has_value() || DecodeExpiryHint(*hint) != id)
    return Wrong(home.queue, "a message would not expire");
  ++mortal_;
  return absl::OkStatus();
}

absl::Status RowAudit::AddAttempts(std::string_view key, std::string_view value) {
  ByteReader reader(key.substr(1));
  const QueueId number(reader.Fixed32());
  const Seq seq(reader.Fixed64());
  if (!reader.AtEnd() || !DecodeAttempts(value).has_value()) return Wrong("attempts cannot be read");
  if (IsIdle(number, seq)) return Idle(key);
  ++queues_.at(number).attempt_rows;
  attempts_.emplace(number, seq);
  return absl::OkStatus();
}

absl::Status RowAudit::AddLocator(std::string_view key, std::string_view value) {
  const auto row = DecodeLocator(value);
  const auto home = row.has_value() ? ParseMessageKey(*row) : std::nullopt;
  if (key.size() != LocatorKey({}).size() || !home.has_value()) return Wrong("a locator cannot be read");
  if (IsIdle(home->queue, home->seq)) return Idle(key);
  ++locators_;
  return absl::OkStatus();
}

absl::Status RowAudit::AddHint(std::string_view key, std::string_view value) {
  const auto position = ParseExpiryKey(key);
  if (!position.has_value() || !DecodeExpiryHint(value).has_value())
    return Wrong("an expiry hint cannot be read");
  if (IsIdle(position->queue, position->seq)) return Idle(key);
  ++hints_;
  return absl::OkStatus();
}

absl::Status RowAudit::Finish() {
  for (const auto& [number, queue] : queues_) {
    const LedgerRecord& ledger = queue.ledger;
    const bool agrees = queue.ready == ledger.ready && queue.delayed == ledger.delayed &&
                        queue.parked == ledger.parked && queue.attempt_rows == ledger.attempt_rows &&
                        queue.births.empty();
    if (agrees) continue;
    return Wrong(
        number, fmt::format("its ledger counts {} ready, {} delayed, {} parked messages of {} bytes; "
                            "there are {}, {}, {} of {} bytes",
                            ledger.ready.rows, ledger.delayed.rows, ledger.parked.rows,
                            ledger.ready.bytes + ledger.delayed.bytes + ledger.parked.bytes, queue.ready.rows,
                            queue.delayed.rows, queue.parked.rows,
                            queue.ready.bytes + queue.delayed.bytes + queue.parked.bytes));
  }
  if (!attempts_.empty()) return Wrong("attempts without a message");
  // Every message has its own; so where the numbers are equal, none leads nowhere.
  if (locators_ != moved_) return Wrong("a locator without a message");
  if (hints_ != mortal_) return Wrong("an expiry hint without a message");
  return absl::OkStatus();
}

}  // namespace baton
