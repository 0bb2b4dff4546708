#include "storage/format/records.h"

#include "base/coding.h"

namespace baton {
namespace {

constexpr uint8_t kVersion = 1;             // of a record, unless it has one of its own
constexpr uint8_t kLedgerVersion = 3;       // and 2, 1
constexpr uint8_t kWholeLedgerVersion = 2;  // has all births
constexpr uint8_t kHintedVersion = 2;       // of attempts with a hint; others have version 1
constexpr uint8_t kProducerVersion = 2;     // and 1

// Flags of a message record.
constexpr uint8_t kHasDeadline = 1;
constexpr uint8_t kHasProducer = 2;
constexpr uint8_t kHasId = 4;
constexpr uint8_t kHasHops = 8;
constexpr uint8_t kHasReason = 16;
constexpr uint8_t kHasOwnDeadline = 32;
constexpr uint8_t kHasArrived = 64;
constexpr uint8_t kHasDelayStamp = 128;

void AppendByte(std::string& out, uint8_t byte) { out.push_back(static_cast<char>(byte)); }
void AppendVarintInstant(std::string& out, Instant instant) {
  AppendVarint(out, static_cast<uint64_t>(ToMicros(instant)));
}

// Numbers with a bound. nullopt: out of it.
std::optional<Instant> ReadVarintInstant(ByteReader& reader) {
  const uint64_t micros = reader.Varint();
  if (micros > INT64_MAX) return std::nullopt;
  return InstantFromMicros(static_cast<int64_t>(micros));
}
// One that may be never, in one byte then.
void AppendVarintDeadline(std::string& out, Instant deadline) {
  AppendVarint(out, deadline == kNever ? 0 : static_cast<uint64_t>(ToMicros(deadline)) + 1);
}
std::optional<Instant> ReadVarintDeadline(ByteReader& reader) {
  const uint64_t after = reader.Varint();
  if (after > INT64_MAX) return std::nullopt;
  return after == 0 ? kNever : InstantFromMicros(static_cast<int64_t>(after - 1));
}
std::optional<uint32_t> ReadUint32(ByteReader& reader) {
  const uint64_t value = reader.Varint();
  if (value > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

uint8_t FlagsOf(const MessageRecord& record) {
  uint8_t flags = 0;
  if (record.deadline != kNever) flags |= kHasDeadline;
  if (record.producer) flags |= kHasProducer;
  if (record.id.has_value()) flags |= kHasId;
  if (record.hops != 0) flags |= kHasHops;
  if (!record.reason.empty()) flags |= kHasReason;
  if (record.own_deadline.has_value()) flags |= kHasOwnDeadline;
  if (record.arrived.has_value()) flags |= kHasArrived;
  if (record.delay_stamp.has_value()) flags |= kHasDelayStamp;
  return flags;
}

void AppendRowCount(std::string& out, const RowCount& count) {
  AppendVarint(out, count.rows);
  AppendVarint(out, count.bytes);
}

RowCount ReadRowCount(ByteReader& reader) {
  RowCount count;
  count.rows = reader.Varint();
  count.bytes = reader.Varint();
  return count;
}

constexpr uint64_t kRankOfLowest = RankOfPriority(0);
constexpr size_t kBitmapBytes = kProducerWindow / 8;

using Accepted = std::bitset<kProducerWindow>;

void AppendBitmap(std::string& out, const Accepted& accepted) {
  for (size_t at = 0; at < kProducerWindow; at += 8) {
    uint8_t byte = 0;
    for (size_t bit = 0; bit < 8; ++bit) byte |= static_cast<uint8_t>(accepted[at + bit] ? 1u << bit : 0u);
    AppendByte(out, byte);
  }
}
void ReadBitmap(ByteReader& reader, Accepted& accepted) {
  for (size_t at = 0; at < kProducerWindow; at += 8) {
    const uint8_t byte = reader.Byte();
    for (size_t bit = 0; bit < 8; ++bit) accepted[at + bit] = (byte >> bit) & 1;
  }
}

// Their number, then their lengths, the last one of ones; "": the bitmap is shorter, or says more.
std::string RunsOf(const Accepted& accepted) {
  if (!accepted[0]) return "";
  std::string lengths;
  uint64_t runs = 0;
  size_t ends = kProducerWindow;
  while (ends > 0 && !accepted[ends - 1]) --ends;
  for (size_t begin = 0; begin < ends; ++runs) {
    size_t end = begin;
    while (end < ends && accepted[end] == accepted[begin]) ++end;
    AppendVarint(lengths, end - begin);
    begin = end;
  }
  if (lengths.size() + 1 >= kBitmapBytes) return "";
  std::string out;
  AppendVarint(out, runs);
  return out.append(lengths);
}
bool ReadRuns(ByteReader& reader, uint64_t runs, Accepted& accepted) {
  if (runs > kBitmapBytes || runs % 2 == 0) return false;
  size_t at = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    const uint64_t length = reader.Varint();
    if (length == 0 || length > kProducerWindow - at) return false;
    for (const size_t end = at + length; at < end; ++at) accepted[at] = run % 2 == 0;
  }
  return true;
}

}  // namespace

void AppendMessageHead(std::string& out, const MessageRecord& record) {
  AppendByte(out, kVersion);
  const uint8_t flags = FlagsOf(record);
  AppendByte(out, flags);
  AppendVarint(out, record.priority);
  AppendVarintInstant(out, record.born);
  if (flags & kHasDeadline) AppendVarintInstant(out, record.deadline);
  if (flags & kHasProducer) {
    AppendFixed64(out, record.producer.value());
    AppendVarint(out, record.sequence);
  }
  if (flags & kHasId) record.id->AppendTo(out);
  if (flags & kHasHops) AppendVarint(out, record.hops);
  if (flags & kHasReason) AppendLengthPrefixed(out, record.reason);
  if (flags & kHasOwnDeadline) AppendVarintDeadline(out, *record.own_deadline);
  if (flags & kHasArrived) AppendVarintInstant(out, *record.arrived);
  if (flags & kHasDelayStamp) AppendVarint(out, record.delay_stamp->value());
  AppendLengthPrefixed(out, record.headers);
}

std::optional<MessageRecord> DecodeMessage(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  const uint8_t flags = reader.Byte();
  MessageRecord record;
  const auto priority = ReadUint32(reader);
  const auto born = ReadVarintInstant(reader);
  const auto deadline = flags & kHasDeadline ? ReadVarintInstant(reader) : kNever;
  if (!priority.has_value() || !born.has_value() || !deadline.has_value()) return std::nullopt;
  record.priority = *priority;
  record.born = *born;
  record.deadline = *deadline;
  if (flags & kHasProducer) {
    record.producer = ProducerId(reader.Fixed64());
    record.sequence = reader.Varint();
  }
  if (flags & kHasId) {
    record.id = MessageId::FromBytes(reader.Bytes(MessageId::kBytes));
    if (!record.id.has_value()) return std::nullopt;
  }
  if (flags & kHasHops) {
    const auto hops = ReadUint32(reader);
    if (!hops.has_value()) return std::nullopt;
    record.hops = *hops;
  }
  if (flags & kHasReason) record.reason = reader.LengthPrefixed();
  if (flags & kHasOwnDeadline) {
    record.own_deadline = ReadVarintDeadline(reader);
    if (!record.own_deadline.has_value()) return std::nullopt;
  }
  if (flags & kHasArrived) {
    record.arrived = ReadVarintInstant(reader);
    if (!record.arrived.has_value()) return std::nullopt;
  }
  if (flags & kHasDelayStamp) record.delay_stamp = Seq(reader.Varint());
  record.headers = reader.LengthPrefixed();
  record.body = reader.Rest();
  if (!reader.ok()) return std::nullopt;
  return record;
}

std::string EncodeAttempts(const AttemptsRecord& record) {
  std::string out;
  AppendByte(out, record.hint.has_value() ? kHintedVersion : kVersion);
  AppendVarint(out, record.count);
  AppendLengthPrefixed(out, record.reason);
  if (record.hint.has_value()) AppendVarintDeadline(out, *record.hint);
  return out;
}

std::optional<AttemptsRecord> DecodeAttempts(std::string_view value) {
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  if (version != kVersion && version != kHintedVersion) return std::nullopt;
  AttemptsRecord record;
  const auto count = ReadUint32(reader);
  record.reason = reader.LengthPrefixed();
  if (version == kHintedVersion) {
    record.hint = ReadVarintDeadline(reader);
    if (!record.hint.has_value()) return std::nullopt;
  }
  if (!reader.AtEnd() || !count.has_value() || (*count == 0 && !record.hint.has_value())) return std::nullopt;
  record.count = *count;
  return record;
}

std::string EncodeLocator(std::string_view row_key) {
  std::string out;
  AppendByte(out, kVersion);
  return out.append(row_key);
}

std::optional<std::string_view> DecodeLocator(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  const std::string_view row_key = reader.Rest();
  if (!ParseMessageKey(row_key).has_value()) return std::nullopt;
  return row_key;
}

std::string EncodeExpiryHint(const MessageId& id) {
  std::string out;
  AppendByte(out, kVersion);
  id.AppendTo(out);
  return out;
}

std::optional<MessageId> DecodeExpiryHint(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  return MessageId::FromBytes(reader.Rest());
}

// Small where it usually is: the highest rank, no row at all, nothing due.
std::string EncodeLedger(const LedgerRecord& record) {
  std::string out;
  AppendByte(out, kLedgerVersion);
  AppendRowCount(out, record.ready);
  AppendRowCount(out, record.delayed);
  AppendRowCount(out, record.parked);
  AppendVarint(out, record.attempt_rows);
  AppendVarint(out, kRankOfLowest - record.head.rank);  // modulo 2^64
  AppendVarint(out, record.head.seq.value() + 1);       // likewise
  AppendVarint(out, record.next_due == kNever ? 0 : static_cast<uint64_t>(ToMicros(record.next_due)) + 1);
  AppendVarint(out, record.generation);
  AppendVarint(out, record.floor_seq.value());
  record.births.AppendTo(out);
  return out;
}

std::optional<LedgerRecord> DecodeLedger(std::string_view value, const BirthBuckets& births) {
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  if (version < kVersion || version > kLedgerVersion) return std::nullopt;
  LedgerRecord record;
  record.ready = ReadRowCount(reader);
  record.delayed = ReadRowCount(reader);
  record.parked = ReadRowCount(reader);
  record.attempt_rows = reader.Varint();
  const uint64_t rank = reader.Varint();
  const uint64_t seq = reader.Varint();
  uint64_t next_due = reader.Varint();
  record.head.rank = version == kVersion ? rank : kRankOfLowest - rank;
  record.head.seq = Seq(version == kVersion ? seq : seq - 1);
  if (next_due > INT64_MAX) return std::nullopt;
  if (version != kVersion) next_due = next_due == 0 ? INT64_MAX : next_due - 1;
  record.next_due = InstantFromMicros(static_cast<int64_t>(next_due));
  record.generation = reader.Varint();
  record.floor_seq = Seq(reader.Varint());
  const bool has_births = version <= kWholeLedgerVersion ? record.births.ReadWhole(reader)
                                                         : record.births.ReadFrom(reader, births);
  if (!has_births || !reader.AtEnd()) return std::nullopt;
  // Where there are rows there is a first one.
  const bool has_first = (record.ready.rows == 0 || record.head < kReadyEnd) &&
                         (record.delayed.rows == 0 || record.next_due < kNever);
  if (!has_first) return std::nullopt;
  return record;
}

std::string EncodeBirths(std::string_view row) {
  std::string out;
  AppendByte(out, kVersion);
  return out.append(row);
}

std::optional<BirthBuckets> DecodeBirths(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  return BirthBuckets::FromRow(reader.Rest());
}

std::string EncodeProducer(const ProducerRecord& record) {
  std::string out;
  AppendByte(out, kProducerVersion);
  AppendVarint(out, record.highest);
  AppendVarintInstant(out, record.last_use);
  const std::string runs = RunsOf(record.accepted);
  if (!runs.empty()) return out.append(runs);
  AppendVarint(out, 0);
  AppendBitmap(out, record.accepted);
  return out;
}

std::optional<ProducerRecord> DecodeProducer(std::string_view value) {
  ByteReader reader(value);
  const uint8_t version = reader.Byte();
  if (version != kVersion && version != kProducerVersion) return std::nullopt;
  ProducerRecord record;
  record.highest = reader.Varint();
  const auto last_use = ReadVarintInstant(reader);
  const uint64_t runs = version == kVersion ? 0 : reader.Varint();
  if (runs == 0) {
    ReadBitmap(reader, record.accepted);
  } else if (!ReadRuns(reader, runs, record.accepted)) {
    return std::nullopt;
  }
  if (!reader.AtEnd() || !last_use.has_value()) return std::nullopt;
  record.last_use = *last_use;
  return record;
}

}  // namespace baton
