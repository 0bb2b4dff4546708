#include "storage/format/keys.h"

#include "base/check.h"
#include "base/coding.h"

namespace baton {
namespace {

std::string Start(RowKind kind) {
  std::string key;
  key.reserve(25);
  key.push_back(static_cast<char>(kind));
  return key;
}

std::string Start(RowKind kind, QueueId queue) {
  std::string key = Start(kind);
  AppendFixed32(key, queue.value());
  return key;
}

// Instants in keys are never negative: broker time starts in 1970.
void AppendInstant(std::string& key, Instant instant) {
  BATON_CHECK_GE(ToMicros(instant), 0);
  AppendFixed64(key, static_cast<uint64_t>(ToMicros(instant)));
}

// False: before 1970.
bool ReadInstant(ByteReader& reader, Instant& instant) {
  const uint64_t micros = reader.Fixed64();
  instant = InstantFromMicros(static_cast<int64_t>(micros));
  return micros <= INT64_MAX;
}

// Numbers that messages have: neither none nor the one above all others.
bool IsGiven(Seq seq) { return seq && seq.value() != UINT64_MAX; }

bool HasKind(ByteReader& reader, RowKind kind) { return reader.Byte() == static_cast<uint8_t>(kind); }

}  // namespace

std::string ReadyKey(QueueId queue, ReadyPosition position) {
  std::string key;
  AppendReadyKey(key, queue, position);
  return key;
}

void AppendReadyKey(std::string& out, QueueId queue, ReadyPosition position) {
  out.push_back(static_cast<char>(RowKind::kReady));
  AppendFixed32(out, queue.value());
  AppendFixed32(out, kMainLane);
  AppendFixed64(out, position.rank);
  AppendFixed64(out, position.seq.value());
}

std::string DelayedKey(QueueId queue, DelayedPosition position) {
  std::string key = Start(RowKind::kDelayed, queue);
  AppendInstant(key, position.due);
  AppendFixed64(key, position.seq.value());
  return key;
}

std::string ParkedKey(QueueId queue, Seq seq) {
  std::string key = Start(RowKind::kParked, queue);
  AppendFixed64(key, seq.value());
  return key;
}

std::string ExpiryKey(ExpiryPosition position) {
  std::string key = Start(RowKind::kExpiry);
  AppendInstant(key, position.deadline);
  AppendFixed32(key, position.queue.value());
  AppendFixed64(key, position.seq.value());
  return key;
}

std::string AttemptsKey(QueueId queue, Seq seq) {
  std::string key = Start(RowKind::kAttempts, queue);
  AppendFixed64(key, seq.value());
  return key;
}

std::string LocatorKey(Seq seq) {
  std::string key = Start(RowKind::kLocator);
  AppendFixed64(key, seq.value());
  return key;
}

std::string LedgerKey(QueueId queue) { return Start(RowKind::kLedger, queue); }
std::string BirthsKey(QueueId queue) { return Start(RowKind::kBirths, queue); }

std::string QueueKey(std::string_view name) { return Start(RowKind::kQueue).append(name); }

std::string ProducerKey(ProducerId producer) {
  std::string key = Start(RowKind::kProducer);
  AppendFixed64(key, producer.value());
  return key;
}

std::string MemoryProducerKey(ProducerId producer) {
  std::string key = Start(RowKind::kMemoryProducer);
  AppendFixed64(key, producer.value());
  return key;
}

std::optional<ReadyKeyParts> ParseReadyKey(std::string_view key) {
  ByteReader reader(key);
  if (!HasKind(reader, RowKind::kReady)) return std::nullopt;
  ReadyKeyParts parts{.queue = QueueId(reader.Fixed32()), .position = {}};
  const uint32_t lane = reader.Fixed32();
  parts.position.rank = reader.Fixed64();
  parts.position.seq = Seq(reader.Fixed64());
  if (!reader.AtEnd() || lane != kMainLane || !IsGiven(parts.position.seq)) return std::nullopt;
  return parts;
}

std::optional<DelayedKeyParts> ParseDelayedKey(std::string_view key) {
  ByteReader reader(key);
  if (!HasKind(reader, RowKind::kDelayed)) return std::nullopt;
  DelayedKeyParts parts{.queue = QueueId(reader.Fixed32()), .position = {}};
  const bool is_instant = ReadInstant(reader, parts.position.due);
  parts.position.seq = Seq(reader.Fixed64());
  if (!is_instant || !reader.AtEnd() || !IsGiven(parts.position.seq)) return std::nullopt;
  return parts;
}

std::optional<ParkedKeyParts> ParseParkedKey(std::string_view key) {
  ByteReader reader(key);
  if (!HasKind(reader, RowKind::kParked)) return std::nullopt;
  ParkedKeyParts parts{.queue = QueueId(reader.Fixed32()), .seq = Seq(reader.Fixed64())};
  if (!reader.AtEnd() || !IsGiven(parts.seq)) return std::nullopt;
  return parts;
}

std::optional<ExpiryPosition> ParseExpiryKey(std::string_view key) {
  ByteReader reader(key);
  if (!HasKind(reader, RowKind::kExpiry)) return std::nullopt;
  ExpiryPosition position;
  const bool is_instant = ReadInstant(reader, position.deadline);
  position.queue = QueueId(reader.Fixed32());
  position.seq = Seq(reader.Fixed64());
  if (!is_instant || !reader.AtEnd() || !IsGiven(position.seq)) return std::nullopt;
  return position;
}

std::optional<MessageKeyParts> ParseMessageKey(std::string_view key) {
  if (const auto ready = ParseReadyKey(key)) {
    return MessageKeyParts{.kind = RowKind::kReady,
                           .queue = ready->queue,
                           .seq = ready->position.seq,
                           .ready = ready->position,
                           .delayed = {}};
  }
  if (const auto delayed = ParseDelayedKey(key)) {
    return MessageKeyParts{.kind = RowKind::kDelayed,
                           .queue = delayed->queue,
                           .seq = delayed->position.seq,
                           .ready = {},
                           .delayed = delayed->position};
  }
  if (const auto parked = ParseParkedKey(key)) {
    return MessageKeyParts{
        .kind = RowKind::kParked, .queue = parked->queue, .seq = parked->seq, .ready = {}, .delayed = {}};
  }
  return std::nullopt;
}

std::string MessageKey(const MessageKeyParts& parts) {
  if (parts.kind == RowKind::kDelayed) return DelayedKey(parts.queue, parts.delayed);
  if (parts.kind == RowKind::kParked) return ParkedKey(parts.queue, parts.seq);
  return ReadyKey(parts.queue, parts.ready);
}

QueueId QueueOfRow(std::string_view key) {
  if (key.empty()) return {};
  ByteReader reader(key.substr(1));
  switch (static_cast<RowKind>(key[0])) {
    case RowKind::kReady:
    case RowKind::kDelayed:
    case RowKind::kParked:
    case RowKind::kAttempts:
    case RowKind::kLedger:
    case RowKind::kBirths:
      return QueueId(reader.Fixed32());
    case RowKind::kExpiry:
      reader.Fixed64();
      return QueueId(reader.Fixed32());
    case RowKind::kLocator:
    case RowKind::kQueue:
    case RowKind::kProducer:
    case RowKind::kMemoryProducer:
    case RowKind::kMeta:
      break;
  }
  return {};
}

bool IsMemoryRow(std::string_view key) {
  if (!key.empty() && key[0] == static_cast<char>(RowKind::kMemoryProducer)) return true;
  return IsMemoryQueue(QueueOfRow(key));
}

KeyRange AllOf(RowKind kind) {
  const char letter = static_cast<char>(kind);
  return {.begin = std::string(1, letter), .end = std::string(1, static_cast<char>(letter + 1))};
}

KeyRange AllOf(RowKind kind, QueueId queue) {
  KeyRange range{.begin = Start(kind, queue), .end = {}};
  // The engine gives queue numbers up to 2^32 - 3 (queue_admin.cc), so the successor exists.
  range.end = Start(kind, QueueId(queue.value() + 1));
  return range;
}

}  // namespace baton
