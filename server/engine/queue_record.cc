#include "server/engine/queue_record.h"

#include <fmt/format.h>

#include "base/coding.h"

namespace baton {
namespace {

constexpr uint8_t kVersion = 1;

constexpr uint64_t kPaused = 1;
constexpr uint64_t kSkipsDamage = 2;
constexpr uint64_t kHintsAreLate = 4;

// Never renumber, never reuse.
enum Tag : uint64_t {
  kEnd = 0,
  kDurability = 1,
  kDelivery = 2,
  kLease = 3,
  kAttemptsMax = 4,
  kBackoff = 5,
  kBackoffMax = 6,
  kExhausted = 7,
  kExpired = 8,
  kDeadLetterQueue = 9,
  kTtl = 10,
  kMessagesMax = 11,
  kBytesMax = 12,
  kInFlightMax = 13,
  kOverflow = 14,
};

void Append(std::string& out, Tag tag, uint64_t value) {
  AppendVarint(out, tag);
  AppendVarint(out, value);
}
void Append(std::string& out, Tag tag, Duration value) {
  Append(out, tag, static_cast<uint64_t>(value.count()));
}

Duration ReadDuration(ByteReader& reader) { return Duration(static_cast<int64_t>(reader.Varint())); }

bool ReadUint32(ByteReader& reader, uint32_t& out) {
  const uint64_t value = reader.Varint();
  out = static_cast<uint32_t>(value);
  return value <= UINT32_MAX;
}

// Enums are 1 .. max.
template <class Enum>
bool ReadEnum(ByteReader& reader, uint64_t max, Enum& out) {
  const uint64_t value = reader.Varint();
  if (value < 1 || value > max) return false;
  out = static_cast<Enum>(value);
  return true;
}

// The engine gives numbers up to 2^31 - 2, beside the bit that tells the store (queue_admin.cc).
bool IsGiven(QueueId number, Durability durability) {
  const uint32_t count = number.value() & ~kMemoryQueueBit;
  return count > 0 && count < kMemoryQueueBit - 1 &&
         IsMemoryQueue(number) == (durability == Durability::kMemory);
}

bool ReadProperty(ByteReader& reader, uint64_t tag, QueueConfig& config) {
  switch (tag) {
    case kDurability:
      return ReadEnum(reader, 3, config.durability);
    case kDelivery:
      return ReadEnum(reader, 2, config.delivery);
    case kLease:
      config.lease = ReadDuration(reader);
      return true;
    case kAttemptsMax:
      return ReadUint32(reader, config.attempts_max);
    case kBackoff:
      config.backoff = ReadDuration(reader);
      return true;
    case kBackoffMax:
      config.backoff_max = ReadDuration(reader);
      return true;
    case kExhausted:
      return ReadEnum(reader, 3, config.exhausted);
    case kExpired:
      return ReadEnum(reader, 3, config.expired);
    case kDeadLetterQueue:
      config.dead_letter_queue = reader.LengthPrefixed();
      return true;
    case kTtl:
      config.ttl = ReadDuration(reader);
      return true;
    case kMessagesMax:
      config.messages_max = reader.Varint();
      return true;
    case kBytesMax:
      config.bytes_max = reader.Varint();
      return true;
    case kInFlightMax:
      config.in_flight_max = reader.Varint();
      return true;
    case kOverflow:
      return ReadEnum(reader, 3, config.overflow);
    default:
      return false;
  }
}

}  // namespace

std::string EncodeQueue(const QueueRecord& record) {
  std::string out;
  out.push_back(static_cast<char>(kVersion));
  AppendVarint(out, record.number.value());
  AppendVarint(out, static_cast<uint64_t>(ToMicros(record.created)));
  AppendVarint(out, (record.paused ? kPaused : 0) | (record.skips_damage ? kSkipsDamage : 0) |
                        (record.hints_are_late ? kHintsAreLate : 0));
  const QueueConfig& config = record.config;
  Append(out, kDurability, static_cast<uint64_t>(config.durability));
  Append(out, kDelivery, static_cast<uint64_t>(config.delivery));
  Append(out, kLease, config.lease);
  Append(out, kAttemptsMax, config.attempts_max);
  Append(out, kBackoff, config.backoff);
  Append(out, kBackoffMax, config.backoff_max);
  Append(out, kExhausted, static_cast<uint64_t>(config.exhausted));
  Append(out, kExpired, static_cast<uint64_t>(config.expired));
  AppendVarint(out, kDeadLetterQueue);
  AppendLengthPrefixed(out, config.dead_letter_queue);
  Append(out, kTtl, config.ttl);
  Append(out, kMessagesMax, config.messages_max);
  Append(out, kBytesMax, config.bytes_max);
  Append(out, kInFlightMax, config.in_flight_max);
  Append(out, kOverflow, static_cast<uint64_t>(config.overflow));
  AppendVarint(out, kEnd);
  return out;
}

std::optional<QueueRecord> DecodeQueue(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  QueueRecord record;
  uint32_t number = 0;
  if (!ReadUint32(reader, number)) return std::nullopt;
  record.number = QueueId(number);
  const uint64_t created = reader.Varint();
  if (created > INT64_MAX) return std::nullopt;
  record.created = InstantFromMicros(static_cast<int64_t>(created));
  const uint64_t flags = reader.Varint();
  if (flags > (kPaused | kSkipsDamage | kHintsAreLate)) return std::nullopt;
  record.paused = (flags & kPaused) != 0;
  record.skips_damage = (flags & kSkipsDamage) != 0;
  record.hints_are_late = (flags & kHintsAreLate) != 0;
  for (uint64_t tag = reader.Varint(); tag != kEnd; tag = reader.Varint()) {
    if (!reader.ok() || !ReadProperty(reader, tag, record.config)) return std::nullopt;
  }
  const bool is_sound =
      IsGiven(record.number, record.config.durability) && CheckQueueConfig(record.config).ok();
  if (!reader.AtEnd() || !is_sound) return std::nullopt;
  return record;
}

absl::Status UnreadableQueue(std::string_view name) {
  return absl::DataLossError(fmt::format(
      "the definition of queue {} cannot be read: the store is damaged or of a newer version", name));
}

std::string EncodeLastQueueNumber(QueueId number) {
  std::string out;
  out.push_back(static_cast<char>(kVersion));
  AppendVarint(out, number.value());
  return out;
}

std::optional<QueueId> DecodeLastQueueNumber(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != kVersion) return std::nullopt;
  uint32_t number = 0;
  if (!ReadUint32(reader, number) || !reader.AtEnd()) return std::nullopt;
  return QueueId(number);
}

}  // namespace baton
