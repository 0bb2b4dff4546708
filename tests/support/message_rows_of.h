// The rows that an engine would have written for some messages, for tests of what reads rows.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "storage/format/commit.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"

namespace baton {

// One queue's rows. Each function adds a message in that state, with all that belongs to it.
class MessageRowsOf {
 public:
  using Rows = std::map<std::string, std::string>;

  explicit MessageRowsOf(QueueId queue) : queue_(queue) { rows_[LedgerKey(queue)]; }

  void Ready(uint64_t seq, const std::string& body) {
    Put(ReadyKey(queue_, {.rank = RankOfPriority(0), .seq = Seq(seq)}), {.born = Birth(seq), .body = body},
        ledger_.ready);
  }
  // Was delivered twice, and is to wait since.
  void Returned(uint64_t seq, const std::string& body) {
    rows_[AttemptsKey(queue_, Seq(seq))] = EncodeAttempts({.count = 2, .reason = "not now"});
    ++ledger_.attempt_rows;
    Moved(DelayedKey(queue_, {.due = Birth(seq + 100), .seq = Seq(seq)}), seq, {.body = body},
          ledger_.delayed);
    ledger_.next_due = std::min(ledger_.next_due, Birth(seq + 100));
  }
  void Parked(uint64_t seq, const std::string& body) {
    Moved(ParkedKey(queue_, Seq(seq)), seq, {.reason = "attempts used up", .body = body}, ledger_.parked);
  }
  void Mortal(uint64_t seq, const std::string& body) {
    const Instant deadline = Birth(seq + 200);
    Put(ReadyKey(queue_, {.rank = RankOfPriority(0), .seq = Seq(seq)}),
        {.born = Birth(seq), .deadline = deadline, .body = body}, ledger_.ready);
    rows_[ExpiryKey({deadline, queue_, Seq(seq)})] = EncodeExpiryHint(Id(seq));
  }
  // Its queue's TTL was changed since.
  void Rehinted(uint64_t seq, const std::string& body) {
    const Instant hint = Birth(seq + 300);
    Put(ReadyKey(queue_, {.rank = RankOfPriority(0), .seq = Seq(seq)}),
        {.born = Birth(seq), .deadline = Birth(seq + 200), .own_deadline = kNever, .body = body},
        ledger_.ready);
    rows_[AttemptsKey(queue_, Seq(seq))] = EncodeAttempts({.hint = hint});
    ++ledger_.attempt_rows;
    rows_[ExpiryKey({hint, queue_, Seq(seq)})] = EncodeExpiryHint(Id(seq));
  }
  // From another queue, where it had this id.
  void DeadLettered(MessageId id, uint64_t seq, const std::string& body) {
    const std::string key = ReadyKey(queue_, {.rank = RankOfPriority(0), .seq = Seq(seq)});
    rows_[LocatorKey(id.seq)] = EncodeLocator(key);
    Put(key, {.born = Birth(seq), .id = id, .body = body}, ledger_.ready);
  }
  // Of every row that follows.
  void SetFloor(uint64_t seq) { ledger_.floor_seq = Seq(seq); }

  // A queue's row into a commit, as an engine does it.
  static void AddTo(Commit& commit, const std::string& key, const std::string& value) {
    const bool is_locator = key[0] == static_cast<char>(RowKind::kLocator);
    is_locator ? commit.PutLocator(key, *DecodeLocator(value)) : commit.Put(key, value);
  }

  // With the ledger.
  Rows rows() {
    const auto births = ledger_.births.TakeRow();
    if (births.has_value() && births->empty()) rows_.erase(BirthsKey(queue_));
    if (births.has_value() && !births->empty()) rows_[BirthsKey(queue_)] = EncodeBirths(*births);
    rows_[LedgerKey(queue_)] = EncodeLedger(ledger_);
    return rows_;
  }
  LedgerRecord& ledger() { return ledger_; }
  MessageId Id(uint64_t seq) const { return {.queue = queue_, .seq = Seq(seq), .place = RankOfPriority(0)}; }

 private:
  static Instant Birth(uint64_t seq) { return InstantFromMicros(static_cast<int64_t>(seq) * 1'000'000); }
  void Put(const std::string& key, const MessageRecord& record, RowCount& count) {
    std::string& row = rows_[key];
    row.clear();
    AppendMessageHead(row, record);
    row.append(record.body);
    ++count.rows;
    count.bytes += record.headers.size() + record.body.size();
    ledger_.births.Add(record.born);
  }
  void Moved(const std::string& key, uint64_t seq, MessageRecord record, RowCount& count) {
    record.born = Birth(seq);
    record.id = Id(seq);
    rows_[LocatorKey(Seq(seq))] = EncodeLocator(key);
    Put(key, record, count);
  }

  const QueueId queue_;
  LedgerRecord ledger_;
  Rows rows_;
};

}  // namespace baton
