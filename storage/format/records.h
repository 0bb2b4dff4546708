// Row values. Each starts with its version; a decoder knows every version ever released, and a golden file
// test pins each. To change a record: raise its version, keep the old decoder, add a
// golden file.
//
//   message (R, D, P)  version:1 flags:1 priority:v born:v [deadline:v] [producer:8 sequence:v] [id:24]
//                      [hops:v] [reason:lp] [own deadline + 1:v] [arrived:v] [delay stamp:v]
//                      headers:lp body
//   attempts (A)       version:1 count:v reason:lp; version 2: and hint + 1:v
//   locator (I)        version:1 row key
//   expiry hint (X)    version:1 id:24
//   ledger (L)         version:3 (rows:v bytes:v) of ready, delayed, parked; attempt rows:v
//                      head priority:v (2^32 - 1 - rank) head seq + 1:v next due + 1:v (0: never)
//                      generation:v floor seq:v birth buckets (birth_buckets.h); version 2: all of them
//                      here; version 1: likewise, rank, seq, next due as they are
//   births (B)         version:1 birth buckets
//   producer (N)       version:2 highest:v last use:v runs:v length:v …, of ones, zeros, ones …; the rest is
//                      zeros; no runs: bitmap:128; version 1: the bitmap always
//
// v = varint, lp = length-prefixed, numbers otherwise big-endian bytes; instants in microseconds since 1970,
// never before. A decoder gives nullopt for anything that an encoder cannot have written.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/limits.h"
#include "base/message_id.h"
#include "base/time.h"
#include "storage/format/birth_buckets.h"
#include "storage/format/keys.h"

namespace baton {

// Borrows its strings.
struct MessageRecord {
  uint32_t priority = 0;
  Instant born;
  Instant deadline = kNever;  // at which its expiry hint is, unless its attempts row tells another one
  ProducerId producer;        // none: `sequence` means nothing
  uint64_t sequence = 0;
  std::optional<MessageId> id;  // absent: the one the row's key tells (it never left its place of birth)
  uint32_t hops = 0;            // dead-letterings so far
  std::string_view reason;      // parked: why
  std::optional<Instant> own_deadline;  // by its own TTL; absent: `deadline` is
  std::optional<Seq> delay_stamp;       // delayed by a nack: when its due time was written (ClockSteps)
  std::optional<Instant> arrived;       // in its queue; absent: when it was born, or, after a hop, not known
  std::string_view headers;             // an encoded baton.v1.Headers
  std::string_view body;
};
// Everything but the body, which follows it in the row.
void AppendMessageHead(std::string& out, const MessageRecord& record);
std::optional<MessageRecord> DecodeMessage(std::string_view value);

struct AttemptsRecord {
  uint32_t count = 0;       // attempts that ended without success; not 0 unless there is a hint
  std::string_view reason;  // of the last one
  std::optional<Instant>
      hint;  // at which the message's expiry hint is (kNever: it has none) since it was moved
};
std::string EncodeAttempts(const AttemptsRecord& record);
std::optional<AttemptsRecord> DecodeAttempts(std::string_view value);

// The key of the row where the message is now; borrows.
std::string EncodeLocator(std::string_view row_key);
std::optional<std::string_view> DecodeLocator(std::string_view value);

std::string EncodeExpiryHint(const MessageId& id);
std::optional<MessageId> DecodeExpiryHint(std::string_view value);

// Counts follow the rows, so that they are exact after a crash: a delayed message that is due counts as
// delayed until its row moves.
struct RowCount {
  uint64_t rows = 0;
  uint64_t bytes = 0;  // bodies and headers
  friend bool operator==(const RowCount&, const RowCount&) = default;
};
struct LedgerRecord {
  RowCount ready;  // leased ones included
  RowCount delayed;
  RowCount parked;
  uint64_t attempt_rows = 0;
  ReadyPosition head;         // at or below every ready row
  Instant next_due = kNever;  // at or below every delayed row's due time
  uint64_t generation = 0;    // raised by every purge
  Seq floor_seq;              // rows below it are void
  BirthBuckets births;
  friend bool operator==(const LedgerRecord&, const LedgerRecord&) = default;
};
// The longest that there can be, with the births and the keys of both.
inline constexpr size_t kLedgerBytesMax = 2'560;
std::string EncodeLedger(const LedgerRecord& record);
// `births`: of the queue's other row, when it has one.
std::optional<LedgerRecord> DecodeLedger(std::string_view value, const BirthBuckets& births);
// `row`: as BirthBuckets::TakeRow gives it.
std::string EncodeBirths(std::string_view row);
std::optional<BirthBuckets> DecodeBirths(std::string_view value);

struct ProducerRecord {
  uint64_t highest = 0;  // accepted sequence
  Instant last_use;
  // Bit i: sequence highest - i was accepted. Bit 0 is always set.
  std::bitset<kProducerWindow> accepted;
  friend bool operator==(const ProducerRecord&, const ProducerRecord&) = default;
};
inline constexpr size_t kProducerBytesMax = 192;  // likewise
std::string EncodeProducer(const ProducerRecord& record);
std::optional<ProducerRecord> DecodeProducer(std::string_view value);

}  // namespace baton
