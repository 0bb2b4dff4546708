// Random input for what reads stored bytes and ids, without a store (fuzz_driver.h has the command line).
// Targets:
//   ids       message ids and lease tokens, as text and as bytes
//   keys      row keys
//   records   values of rows of every kind
//   audit     rows that somebody else has left
//   memory    records of a run in shared memory
//   log       the log's files, and the marks in them
#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "base/message_id.h"
#include "server/engine/message_rows.h"
#include "server/engine/queue_record.h"
#include "storage/crc32c.h"
#include "storage/format/commit.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"
#include "storage/format/row_audit.h"
#include "storage/memory/memory_record.h"
#include "storage/rocks/log_scanner.h"
#include "storage/rocks/write_mark.h"
#include "tests/stress/fuzz_driver.h"

namespace baton {
namespace {

const Instant kSometime = InstantFromMicros(1'700'000'000'000'000);
const QueueId kQueue(3);

MessageId SomeId() {
  return {
      .birth = MessageId::Birth::kReady, .lane = 0, .queue = kQueue, .seq = MakeSeq(Epoch(2), 5), .place = 7};
}

// ---- Ids.

void FuzzIds(FuzzInput& input) {
  const std::string text = input.TakeRest();
  if (const auto id = MessageId::FromText(text)) {
    BATON_CHECK(id->ToText() == text);
    BATON_CHECK(ParseMessageKey(BirthKeyOf(*id)).has_value() || id->seq.value() == UINT64_MAX);
  }
  if (const auto token = LeaseToken::FromText(text)) BATON_CHECK(token->ToText() == text);
  if (const auto id = MessageId::FromBytes(text)) {
    std::string bytes;
    id->AppendTo(bytes);
    BATON_CHECK(bytes == text);
  }
}

std::vector<std::string> IdSeeds() {
  std::string bytes;
  SomeId().AppendTo(bytes);
  const LeaseToken token{.epoch = Epoch(2), .delivery = DeliveryNumber(9), .attempt = 1, .id = SomeId()};
  return {SomeId().ToText(), token.ToText(), bytes};
}

// ---- Keys.

void FuzzKeys(FuzzInput& input) {
  const std::string key = input.TakeRest();
  if (const auto parts = ParseMessageKey(key)) BATON_CHECK(MessageKey(*parts) == key);
  if (const auto ready = ParseReadyKey(key)) {
    BATON_CHECK(ReadyKey(ready->queue, ready->position) == key);
    BATON_CHECK(ready->position < Successor(ready->position) && Successor(ready->position) <= kReadyEnd);
  }
  if (const auto delayed = ParseDelayedKey(key)) {
    BATON_CHECK(delayed->position < Successor(delayed->position) &&
                Successor(delayed->position) <= kDelayedEnd);
  }
  if (const auto expiry = ParseExpiryKey(key)) {
    BATON_CHECK(ExpiryKey(*expiry) == key);
    BATON_CHECK(*expiry < Successor(*expiry) && Successor(*expiry) <= kExpiryEnd);
  }
  const std::string attempts = AttemptsKeyOfRow(key);
  BATON_CHECK(attempts.empty() || QueueOfRow(attempts) == QueueOfRow(key));
  (void)IsMemoryRow(key);
}

std::vector<std::string> KeySeeds() {
  const Seq seq = MakeSeq(Epoch(2), 5);
  return {ReadyKey(kQueue, {.rank = 1, .seq = seq}),
          DelayedKey(kQueue, {.due = kSometime, .seq = seq}),
          ParkedKey(kQueue, seq),
          ExpiryKey({.deadline = kSometime, .queue = kQueue, .seq = seq}),
          AttemptsKey(kQueue, seq),
          LocatorKey(seq),
          LedgerKey(kQueue),
          BirthsKey(kQueue),
          QueueKey("orders"),
          ProducerKey(ProducerId(9))};
}

// ---- Records.

// What was read is written and read again as itself.
template <class Decode, class Encode>
void CheckRecord(const std::string& bytes, Decode&& decode, Encode&& encode) {
  const auto record = decode(std::string_view(bytes));
  if (!record.has_value()) return;
  const std::string written = encode(*record);
  const auto again = decode(std::string_view(written));
  BATON_CHECK(again.has_value());
  BATON_CHECK(encode(*again) == written);
}

std::string WriteMessage(const MessageRecord& record) {
  std::string out;
  AppendMessageHead(out, record);
  return out.append(record.body);
}

// The ledger of a queue whose births have a row of their own.
const BirthBuckets& SomeBirths() {
  static const BirthBuckets births = [] {
    BirthBuckets some;
    for (int i = 0; i < 20; ++i) some.Add(kSometime + std::chrono::seconds(i));
    return DecodeBirths(EncodeBirths(some.TakeRow().value())).value();
  }();
  return births;
}
std::optional<LedgerRecord> ReadLedger(std::string_view bytes) { return DecodeLedger(bytes, SomeBirths()); }

void FuzzRecords(FuzzInput& input) {
  const uint64_t kind = input.Upto(9);
  const std::string bytes = input.TakeRest();
  switch (kind) {
    case 0:
      return CheckRecord(bytes, &DecodeMessage, &WriteMessage);
    case 1:
      return CheckRecord(bytes, &DecodeAttempts, &EncodeAttempts);
    case 2:
      return CheckRecord(bytes, &DecodeLocator, &EncodeLocator);
    case 3:
      return CheckRecord(bytes, &DecodeExpiryHint, &EncodeExpiryHint);
    case 4:
      return CheckRecord(bytes, &ReadLedger, &EncodeLedger);
    case 5:
      return CheckRecord(bytes, &DecodeProducer, &EncodeProducer);
    case 6:
      return CheckRecord(bytes, &DecodeQueue, &EncodeQueue);
    case 7:
      return CheckRecord(bytes, &DecodeLastQueueNumber, &EncodeLastQueueNumber);
    case 8:
      (void)DecodeBirths(bytes);
      return;
    default:
      return CheckRecord(bytes, &DecodeWriteMark, &EncodeWriteMark);
  }
}

LedgerRecord SomeLedger() {
  LedgerRecord ledger;
  ledger.ready = {.rows = 1, .bytes = 4};
  ledger.births.Add(kSometime);
  return ledger;
}

std::vector<std::string> RecordSeeds() {
  const MessageRecord message{.priority = 7,
                              .born = kSometime,
                              .deadline = kSometime + std::chrono::hours(1),
                              .producer = ProducerId(9),
                              .sequence = 4,
                              .id = SomeId(),
                              .hops = 2,
                              .reason = "why",
                              .headers = "h",
                              .body = "body"};
  ProducerRecord producer{.highest = 9, .last_use = kSometime, .accepted = {}};
  producer.accepted.set(0);
  const std::string records[] = {
      WriteMessage(message),
      EncodeAttempts({.count = 3, .reason = "why"}),
      EncodeLocator(ParkedKey(kQueue, Seq(5))),
      EncodeExpiryHint(SomeId()),
      EncodeLedger(SomeLedger()),
      EncodeProducer(producer),
      EncodeQueue({.number = kQueue, .created = kSometime, .paused = true, .config = {}}),
      EncodeLastQueueNumber(kQueue),
      EncodeBirths(BirthBuckets(SomeBirths()).TakeRow().value()),
      EncodeWriteMark({.secret = 1, .number = 2, .synced = 1})};
  std::vector<std::string> seeds;
  for (char kind = 0; kind < 10; ++kind) seeds.push_back({kind, '\0'});
  for (size_t kind = 0; kind < seeds.size(); ++kind) seeds[kind] += records[kind];
  return seeds;
}

// ---- Rows that somebody else has left: keys and values, each behind its length.

void FuzzAudit(FuzzInput& input) {
  std::map<std::string, std::string, std::less<>> rows;
  while (!input.empty()) {
    std::string key = input.TakeBytes(1 + input.Upto(30));
    rows[std::move(key)] = input.TakeBytes(input.Upto(200));
  }
  RowAudit audit({kQueue}, [&rows](std::string_view key) -> std::optional<std::string_view> {
    const auto found = rows.find(key);
    if (found == rows.end()) return std::nullopt;
    return found->second;
  });
  absl::Status judged;
  for (const auto& [key, value] : rows) {
    if (judged.ok() && key[0] == 'L') judged = audit.AddLedger(key, value);
  }
  for (const auto& [key, value] : rows) {
    if (judged.ok() && !key.empty()) judged = audit.Add(key, value);
  }
  if (judged.ok()) judged = audit.Finish();
}

void AppendRow(std::string& rows, const std::string& key, const std::string& value) {
  const auto append_length = [&rows](size_t length) {
    rows.push_back(static_cast<char>(length));
    rows.push_back(static_cast<char>(length >> 8));
  };
  append_length(key.size() - 1);
  rows += key;
  append_length(value.size());
  rows += value;
}

std::vector<std::string> AuditSeeds() {
  std::string plain;
  MessageRecord message;
  message.born = kSometime;
  message.body = "body";
  AppendRow(plain, ReadyKey(kQueue, {.rank = RankOfPriority(0), .seq = Seq(5)}), WriteMessage(message));
  AppendRow(plain, LedgerKey(kQueue), EncodeLedger(SomeLedger()));
  std::string more = plain;
  AppendRow(more, AttemptsKey(kQueue, Seq(5)), EncodeAttempts({.count = 1, .reason = "why"}));
  AppendRow(more, LocatorKey(Seq(5)), EncodeLocator(ParkedKey(kQueue, Seq(5))));
  AppendRow(more, ExpiryKey({.deadline = kSometime, .queue = kQueue, .seq = Seq(5)}),
            EncodeExpiryHint(SomeId()));
  return {plain, more};
}

// ---- Records in shared memory.

void FuzzMemoryRecords(FuzzInput& input) {
  const std::string bytes = input.TakeRest();
  RecordReader reader(bytes);
  size_t end = 0;
  while (reader.Next()) {
    BATON_CHECK_EQ(reader.offset(), end);
    BATON_CHECK(!reader.key().empty() && reader.key().size() <= kMemoryKeyMax);
    end = reader.offset() + reader.bytes();
    BATON_CHECK(end <= bytes.size());
    BATON_CHECK(ValueOfRecord(bytes.data() + reader.offset()) == reader.value());
    BATON_CHECK_EQ(BytesOfRecord(bytes.data() + reader.offset()), reader.bytes());
  }
  BATON_CHECK(reader.damaged() || end == bytes.size());
}

std::vector<std::string> MemoryRecordSeeds() {
  Commit commit;
  commit.Put("R0001", "value");
  commit.Put("R0002", std::string(200, 'x'));
  commit.SingleDelete("R0001");
  commit.DeleteRange("R0001", "R0009");
  std::string run;
  std::string previous;
  commit.ForEach([&](const Commit::Op& op) {
    const RecordShape shape(previous, op);
    run.resize(run.size() + shape.bytes());
    shape.Write(run.data() + run.size() - shape.bytes());
    previous = op.key;
  });
  return {run};
}

// ---- The log: pieces of it, of which some are good fragments.

void AppendFragment(std::string& log, char type, const std::string& payload) {
  const uint32_t crc = Crc32c(type + payload);
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  for (int shift = 0; shift < 32; shift += 8) log.push_back(static_cast<char>(masked >> shift));
  log.push_back(static_cast<char>(payload.size()));
  log.push_back(static_cast<char>(payload.size() >> 8));
  log.push_back(type);
  log.append(payload);
}

std::string Log(FuzzInput& input) {
  std::string log;
  while (!input.empty()) {
    switch (input.Upto(5)) {
      case 0:
        log.append(input.TakeBytes(input.Upto(100)));
        break;
      case 1:
        log.append(input.Upto(40'000), '\0');
        break;
      case 2: {  // up to the end of the block, or nearly
        const size_t left = 32'768 - log.size() % 32'768;
        log.append(left - std::min<size_t>(input.Upto(20), left), '\0');
        break;
      }
      default:
        AppendFragment(log, static_cast<char>(input.Upto(5)), input.TakeBytes(input.Upto(300)));
    }
  }
  return log;
}

void FuzzLog(FuzzInput& input) {
  const std::string log = Log(input);
  size_t at = 0;
  LogScanner scanner(
      [&](char* buffer, size_t size) -> absl::StatusOr<size_t> {
        const size_t count = std::min(size, log.size() - at);
        std::copy_n(log.data() + at, count, buffer);
        at += count;
        return count;
      },
      kBatchHeadBytes);
  uint64_t end = 0;
  for (size_t items = 0;; ++items) {
    const auto item = scanner.Next();
    BATON_CHECK(item.ok());
    if (!item->has_value()) break;
    BATON_CHECK(items <= log.size() && (*item)->begin <= log.size());
    if ((*item)->kind != LogScanner::Item::Kind::kRecord) continue;
    BATON_CHECK((*item)->begin >= end && (*item)->end > (*item)->begin && (*item)->end <= log.size());
    end = (*item)->end;
    BATON_CHECK((*item)->head.size() <= kBatchHeadBytes);
    (void)MarkOfBatch((*item)->head);
  }
}

void FuzzMark(FuzzInput& input) { (void)MarkOfBatch(input.TakeRest()); }

std::vector<std::string> MarkSeeds() {
  std::string batch(12, '\0');
  batch.push_back(1);
  batch.push_back(static_cast<char>(kWriteMarkKey.size()));
  batch.append(kWriteMarkKey);
  batch.push_back(24);
  return {batch + EncodeWriteMark({.secret = 1, .number = 2, .synced = 1})};
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  static const std::vector<FuzzPart> parts = {{"ids", &FuzzIds, &IdSeeds},
                                              {"keys", &FuzzKeys, &KeySeeds},
                                              {"records", &FuzzRecords, &RecordSeeds},
                                              {"audit", &FuzzAudit, &AuditSeeds},
                                              {"memory", &FuzzMemoryRecords, &MemoryRecordSeeds},
                                              {"log", &FuzzLog},
                                              {"log", &FuzzMark, &MarkSeeds}};
  return parts;
}

}  // namespace baton
