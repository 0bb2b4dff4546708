// Row keys. Big-endian numbers, so that byte order is delivery order. Drawn in docs/storage-format.md.
//
//   R queue:4 lane:4 rank:8 seq:8      ready      Put / SingleDelete, strictly alternating
//   D queue:4 due:8 seq:8              delayed    Put / SingleDelete
//   P queue:4 seq:8                    parked     Put / SingleDelete
//   X deadline:8 queue:4 seq:8         expiry     Put / SingleDelete
//   A queue:4 seq:8                    attempts   Put / Delete
//   I seq:8                            locator    Put / Delete
//   L queue:4                          ledger     Put / Delete
//   B queue:4                          births     Put / Delete
//   Q name                             queue      Put / Delete
//   N producer:8                       producer   Put / Delete
//   n producer:8                       the same, of what memory queues accepted
//   M name                             the broker's own (epoch, write mark, sweep of locators)
//   U                                  reserved for dedup keys
//
// To change a key: never. Add a row kind with a new letter, raise kFormatVersion, and write the step that
// converts.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace baton {

enum class RowKind : char {
  kReady = 'R',
  kDelayed = 'D',
  kParked = 'P',
  kExpiry = 'X',
  kAttempts = 'A',
  kLocator = 'I',
  kLedger = 'L',
  kBirths = 'B',
  kQueue = 'Q',
  kProducer = 'N',
  kMemoryProducer = 'n',
  kMeta = 'M',
};

// Lane 0 is the queue's own; a message group will have a lane of its own.
inline constexpr uint32_t kMainLane = 0;

// A ready message's place in its queue's order: smaller is delivered first.
struct ReadyPosition {
  uint64_t rank = 0;  // strict: 2^32 - 1 - priority
  Seq seq;
  friend auto operator<=>(const ReadyPosition&, const ReadyPosition&) = default;
};

// A delayed message's place among its queue's delayed messages.
struct DelayedPosition {
  Instant due;
  Seq seq;
  friend auto operator<=>(const DelayedPosition&, const DelayedPosition&) = default;
};

// An expiry hint's place among all queues' hints.
struct ExpiryPosition {
  Instant deadline;
  QueueId queue;
  Seq seq;
  friend auto operator<=>(const ExpiryPosition&, const ExpiryPosition&) = default;
};

// The smallest position above.
constexpr ReadyPosition Successor(ReadyPosition at) { return {at.rank, Seq(at.seq.value() + 1)}; }
constexpr DelayedPosition Successor(DelayedPosition at) { return {at.due, Seq(at.seq.value() + 1)}; }
constexpr ExpiryPosition Successor(ExpiryPosition at) {
  return {at.deadline, at.queue, Seq(at.seq.value() + 1)};
}

// Above every position there can be (a counter never reaches its last value).
inline constexpr ReadyPosition kReadyEnd{UINT64_MAX, Seq(UINT64_MAX)};
inline constexpr DelayedPosition kDelayedEnd{kNever, Seq(UINT64_MAX)};
inline constexpr ExpiryPosition kExpiryEnd{kNever, QueueId(UINT32_MAX), Seq(UINT64_MAX)};

constexpr uint64_t RankOfPriority(uint32_t priority) { return 0xffffffffu - priority; }
constexpr uint32_t PriorityOfRank(uint64_t rank) { return 0xffffffffu - static_cast<uint32_t>(rank); }

std::string ReadyKey(QueueId queue, ReadyPosition position);
void AppendReadyKey(std::string& out, QueueId queue, ReadyPosition position);  // for who makes many
std::string DelayedKey(QueueId queue, DelayedPosition position);
std::string ParkedKey(QueueId queue, Seq seq);
std::string ExpiryKey(ExpiryPosition position);
std::string AttemptsKey(QueueId queue, Seq seq);
std::string LocatorKey(Seq seq);
std::string LedgerKey(QueueId queue);
std::string BirthsKey(QueueId queue);
std::string QueueKey(std::string_view name);
std::string ProducerKey(ProducerId producer);
std::string MemoryProducerKey(ProducerId producer);

// The parts of a key of that kind; nullopt when the bytes are not the key of a row that a broker writes.
struct ReadyKeyParts {
  QueueId queue;
  ReadyPosition position;
};
struct DelayedKeyParts {
  QueueId queue;
  DelayedPosition position;
};
struct ParkedKeyParts {
  QueueId queue;
  Seq seq;
};
std::optional<ReadyKeyParts> ParseReadyKey(std::string_view key);
std::optional<DelayedKeyParts> ParseDelayedKey(std::string_view key);
std::optional<ParkedKeyParts> ParseParkedKey(std::string_view key);
std::optional<ExpiryPosition> ParseExpiryKey(std::string_view key);

// Of a message's row, whichever of the three holds it.
struct MessageKeyParts {
  RowKind kind = RowKind::kReady;
  QueueId queue;
  Seq seq;
  ReadyPosition ready;      // where `kind` says so
  DelayedPosition delayed;  // likewise
};
std::optional<MessageKeyParts> ParseMessageKey(std::string_view key);
std::string MessageKey(const MessageKeyParts& parts);

// The queue that a row of any kind belongs to; none where its key does not tell (locators, producers, names).
QueueId QueueOfRow(std::string_view key);
// Of a memory queue, or of what memory queues accepted; for a locator ask the row that it names.
bool IsMemoryRow(std::string_view key);

// Every row of that kind; or every row of that kind that belongs to one queue: [begin, end).
// REQUIRES for the second: kind is kReady, kDelayed, kParked or kAttempts.
struct KeyRange {
  std::string begin;
  std::string end;
};
KeyRange AllOf(RowKind kind);
KeyRange AllOf(RowKind kind, QueueId queue);

}  // namespace baton
