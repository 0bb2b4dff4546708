// Stored records: the bytes never change (tests/golden), and hostile ones are refused without harm.
#include "storage/format/records.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>

#include "base/coding.h"
#include "server/engine/queue_record.h"
#include "tests/support/golden_file.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

const Instant kSometime = InstantFromMicros(1'700'000'000'000'000);
const Seq kSeq = MakeSeq(Epoch(2), 5);
const MessageId kId{.birth = MessageId::Birth::kReady,
                    .lane = 0,
                    .queue = QueueId(3),
                    .seq = kSeq,
                    .place = RankOfPriority(7)};
constexpr char kHeaders[] =
    "\x0a\x1a\x0a\x0c"
    "content-type"
    "\x12\x0a"
    "text/plain";

std::string RowOf(const MessageRecord& record) {
  std::string row;
  AppendMessageHead(row, record);
  return row.append(record.body);
}

TEST(Record, OfAPlainMessageIsGolden) {
  const std::string golden = ReadGoldenFile("message_v1_plain");
  const auto record = DecodeMessage(golden);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->priority, 0u);
  EXPECT_EQ(record->born, kSometime);
  EXPECT_EQ(record->deadline, kNever);
  EXPECT_FALSE(record->producer);
  EXPECT_FALSE(record->id.has_value());
  EXPECT_EQ(record->hops, 0u);
  EXPECT_EQ(record->headers, "");
  EXPECT_EQ(record->body, "hello");
  EXPECT_EQ(ToHex(RowOf(*record)), ToHex(golden));
}

TEST(Record, OfAMessageWithEverythingIsGolden) {
  const std::string golden = ReadGoldenFile("message_v1_full");
  const auto record = DecodeMessage(golden);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->priority, 7u);
  EXPECT_EQ(record->born, kSometime);
  EXPECT_EQ(record->deadline, kSometime + 30s);
  EXPECT_EQ(record->producer, ProducerId(0x0102030405060708));
  EXPECT_EQ(record->sequence, 300u);
  EXPECT_EQ(record->id, kId);
  EXPECT_EQ(record->hops, 2u);
  EXPECT_EQ(record->reason, "expired");
  EXPECT_EQ(record->headers, kHeaders);
  EXPECT_EQ(record->body, "body");
  EXPECT_EQ(ToHex(RowOf(*record)), ToHex(golden));
}

TEST(Record, OfAMessageThatExpiresByItsQueuesTtlIsGolden) {
  const std::string golden = ReadGoldenFile("message_v1_ttl");
  const auto record = DecodeMessage(golden);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->deadline, kSometime + 30s);
  EXPECT_EQ(record->own_deadline, kNever);
  EXPECT_EQ(record->arrived, kSometime + 10s);
  EXPECT_EQ(record->hops, 1u);
  EXPECT_EQ(record->body, "body");
  EXPECT_EQ(ToHex(RowOf(*record)), ToHex(golden));
}

TEST(Record, OfAMessageThatWasDelayedLaterTellsWhen) {
  const std::string row = RowOf({.born = kSometime, .delay_stamp = kSeq, .body = "body"});
  EXPECT_EQ(DecodeMessage(row)->delay_stamp, kSeq);
  EXPECT_EQ(DecodeMessage(row)->body, "body");
}

TEST(Record, OfAttemptsAndAMovedHintIsGolden) {
  const std::string golden = ReadGoldenFile("attempts_v2");
  const auto record = DecodeAttempts(golden);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->count, 1u);
  EXPECT_EQ(record->reason, "busy");
  EXPECT_EQ(record->hint, kSometime + 30s);
  EXPECT_EQ(ToHex(EncodeAttempts(*record)), ToHex(golden));
  EXPECT_EQ(DecodeAttempts(EncodeAttempts({.hint = kNever}))->hint, kNever);
}

TEST(Record, OfAttemptsIsGolden) {
  const std::string golden = ReadGoldenFile("attempts_v1");
  const auto record = DecodeAttempts(golden);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->count, 3u);
  EXPECT_EQ(record->reason, "no such customer");
  EXPECT_EQ(ToHex(EncodeAttempts(*record)), ToHex(golden));
}

TEST(Record, OfALocatorIsGolden) {
  const std::string golden = ReadGoldenFile("locator_v1");
  const auto key = DecodeLocator(golden);

  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(*key, ParkedKey(QueueId(3), kSeq));
  EXPECT_EQ(ToHex(EncodeLocator(*key)), ToHex(golden));
}

TEST(Record, OfAnExpiryHintIsGolden) {
  const std::string golden = ReadGoldenFile("expiry_hint_v1");
  const auto id = DecodeExpiryHint(golden);

  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->birth, MessageId::Birth::kDelayed);
  EXPECT_EQ(id->queue, QueueId(3));
  EXPECT_EQ(id->seq, kSeq);
  EXPECT_EQ(id->place, static_cast<uint64_t>(ToMicros(kSometime + 5s)));
  EXPECT_EQ(ToHex(EncodeExpiryHint(*id)), ToHex(golden));
}

// Of a queue without a row of births.
std::optional<LedgerRecord> ReadLedger(std::string_view value) { return DecodeLedger(value, {}); }

TEST(Record, OfALedgerIsGolden) {
  LedgerRecord ledger{.ready = {.rows = 1'000, .bytes = 250'000},
                      .delayed = {.rows = 20, .bytes = 4'000},
                      .parked = {.rows = 3, .bytes = 600},
                      .attempt_rows = 5,
                      .head = {.rank = RankOfPriority(7), .seq = kSeq},
                      .next_due = kSometime + 1s,
                      .generation = 4,
                      .floor_seq = MakeSeq(Epoch(1), 0),
                      .births = {}};
  for (int i = 0; i < 999; ++i) ledger.births.Add(kSometime);
  ledger.births.Add(kSometime + 50ms);
  for (int i = 0; i < 23; ++i) ledger.births.Add(kSometime + 1h);
  const std::string golden = ReadGoldenFile("ledger_v3");

  EXPECT_EQ(ToHex(EncodeLedger(ledger)), ToHex(golden));
  for (const char* name : {"ledger_v1", "ledger_v2", "ledger_v3"})
    EXPECT_EQ(ReadLedger(ReadGoldenFile(name)), ledger) << name;
}

TEST(Record, OfALedgerThatIsEmptyIsShort) {
  const LedgerRecord ledger{.head = kReadyEnd, .next_due = kNever};
  EXPECT_EQ(ReadLedger(EncodeLedger(ledger)), ledger);
  EXPECT_LE(EncodeLedger(ledger).size(), 19u);
}

TEST(Record, OfBirthsIsGolden) {
  LedgerRecord ledger{.head = kReadyEnd, .births = {}};
  for (int i = 0; i < 10; ++i) ledger.births.Add(kSometime + i * 1s);
  const std::string row = EncodeBirths(ledger.births.TakeRow().value());
  ASSERT_TRUE(ledger.births.Take(kSometime));
  ledger.births.Add(kSometime + 10s);

  EXPECT_EQ(ToHex(row), ToHex(ReadGoldenFile("births_v1")));
  EXPECT_EQ(ToHex(EncodeLedger(ledger)), ToHex(ReadGoldenFile("ledger_v3_with_births")));
  EXPECT_EQ(DecodeLedger(EncodeLedger(ledger), DecodeBirths(row).value()), ledger);
}

TEST(Record, OfAProducerIsGolden) {
  ProducerRecord producer{.highest = 5'000, .last_use = kSometime, .accepted = {}};
  for (const size_t behind : {0u, 1u, 3u, 1'023u}) producer.accepted[behind] = true;
  const std::string golden = ReadGoldenFile("producer_v2");

  EXPECT_EQ(ToHex(EncodeProducer(producer)), ToHex(golden));
  EXPECT_EQ(DecodeProducer(golden), producer);
  EXPECT_EQ(DecodeProducer(ReadGoldenFile("producer_v1")), producer);
}

TEST(Record, OfAProducerKeepsEveryPattern) {
  ProducerRecord producer{.highest = 5'000, .last_use = kSometime, .accepted = {}};
  producer.accepted.set();
  EXPECT_EQ(DecodeProducer(EncodeProducer(producer)), producer);
  EXPECT_LE(EncodeProducer(producer).size(), 14u);  // the usual one
  for (size_t every = 2; every < 50; ++every) {
    for (size_t i = 0; i < kProducerWindow; ++i) producer.accepted[i] = i % every == 0;
    EXPECT_EQ(DecodeProducer(EncodeProducer(producer)), producer) << every;
    EXPECT_LE(EncodeProducer(producer).size(), kProducerBytesMax - 9);
  }
}

TEST(Record, OfAQueueIsGolden) {
  const QueueRecord queue{.number = QueueId(9),
                          .created = kSometime,
                          .paused = true,
                          .config = {.durability = Durability::kRelaxed,
                                     .delivery = DeliveryMode::kCommitted,
                                     .lease = 60s,
                                     .attempts_max = 5,
                                     .backoff = 1s,
                                     .backoff_max = 120s,
                                     .exhausted = Disposal::kPark,
                                     .expired = Disposal::kDeadLetter,
                                     .dead_letter_queue = "dead",
                                     .ttl = 1h,
                                     .messages_max = 1'000'000,
                                     .bytes_max = 1 << 30,
                                     .in_flight_max = 100,
                                     .overflow = OverflowPolicy::kDeadLetterOldest}};
  const std::string golden = ReadGoldenFile("queue_v1");

  EXPECT_EQ(ToHex(EncodeQueue(queue)), ToHex(golden));
  EXPECT_EQ(DecodeQueue(golden), queue);
  QueueRecord late = queue;
  late.hints_are_late = true;
  EXPECT_EQ(DecodeQueue(EncodeQueue(late)), late);
}

TEST(Record, OfTheLastQueueNumberIsGolden) {
  const std::string golden = ReadGoldenFile("last_queue_number_v1");

  EXPECT_EQ(ToHex(EncodeLastQueueNumber(QueueId(9))), ToHex(golden));
  EXPECT_EQ(DecodeLastQueueNumber(golden), QueueId(9));
}

// Every kind of record: its golden files, whether a decoder takes the bytes, what it would write again.
struct Kind {
  std::vector<std::string> goldens;
  std::function<std::optional<std::string>(std::string_view)> rewrite;  // nullopt: refused
  bool open_ended = false;                                              // ends in bytes of any length
};

std::vector<Kind> AllKinds() {
  const auto rewrite = [](auto decode, auto encode) {
    return [decode, encode](std::string_view bytes) -> std::optional<std::string> {
      const auto record = decode(bytes);
      if (!record.has_value()) return std::nullopt;
      return encode(*record);
    };
  };
  return {
      {{"message_v1_plain", "message_v1_full", "message_v1_ttl"},
       rewrite(&DecodeMessage, [](const MessageRecord& record) { return RowOf(record); }),
       true},
      {{"attempts_v1", "attempts_v2"}, rewrite(&DecodeAttempts, &EncodeAttempts)},
      {{"locator_v1"}, rewrite(&DecodeLocator, &EncodeLocator)},
      {{"expiry_hint_v1"}, rewrite(&DecodeExpiryHint, &EncodeExpiryHint)},
      {{"ledger_v1", "ledger_v2", "ledger_v3"}, rewrite(&ReadLedger, &EncodeLedger)},
      {{"ledger_v3_with_births"},
       [](std::string_view bytes) -> std::optional<std::string> {
         const auto record = DecodeLedger(bytes, DecodeBirths(ReadGoldenFile("births_v1")).value());
         if (!record.has_value()) return std::nullopt;
         return EncodeLedger(*record);
       }},
      {{"births_v1"},
       [](std::string_view bytes) -> std::optional<std::string> {
         auto births = DecodeBirths(bytes);
         const auto row = births.has_value() ? births->TakeRow() : std::nullopt;  // none, "": of a few
         if (!row.has_value() || row->empty()) return std::nullopt;
         return EncodeBirths(*row);
       },
       true},
      {{"producer_v1", "producer_v2"}, rewrite(&DecodeProducer, &EncodeProducer)},
      {{"queue_v1"}, rewrite(&DecodeQueue, &EncodeQueue)},
      {{"last_queue_number_v1"}, rewrite(&DecodeLastQueueNumber, &EncodeLastQueueNumber)},
  };
}

// Whatever a decoder takes must be something that it writes: at least, it must read its own writing back.
void ExpectSound(const Kind& kind, const std::string& bytes) {
  const auto once = kind.rewrite(bytes);
  if (!once.has_value()) return;
  EXPECT_EQ(kind.rewrite(*once), once) << ToHex(bytes);
}

TEST(HostileRecord, CutShortIsRefused) {
  for (const Kind& kind : AllKinds()) {
    for (const std::string& name : kind.goldens) {
      const std::string golden = ReadGoldenFile(name);
      for (size_t length = 0; length < golden.size(); ++length) {
        if (!kind.open_ended) {
          EXPECT_FALSE(kind.rewrite(golden.substr(0, length)).has_value()) << name << " cut to " << length;
        }
        ExpectSound(kind, golden.substr(0, length));
      }
    }
  }
}

TEST(HostileRecord, WithMoreBehindItIsRefused) {
  for (const Kind& kind : AllKinds()) {
    if (kind.open_ended) continue;
    for (const std::string& name : kind.goldens)
      EXPECT_FALSE(kind.rewrite(ReadGoldenFile(name) + '\0').has_value()) << name;
  }
}

TEST(HostileRecord, OfAnotherVersionIsRefused) {
  for (const Kind& kind : AllKinds()) {
    for (const std::string& name : kind.goldens) {
      std::string bytes = ReadGoldenFile(name);
      for (const char version : {'\0', '\x04', '\xff'}) {
        bytes[0] = version;
        EXPECT_FALSE(kind.rewrite(bytes).has_value()) << name;
      }
    }
  }
}

TEST(HostileRecord, WithAnyByteChangedHarmsNobody) {
  for (const Kind& kind : AllKinds()) {
    for (const std::string& name : kind.goldens) {
      const std::string golden = ReadGoldenFile(name);
      for (size_t at = 0; at < golden.size(); ++at) {
        for (int value = 0; value < 256; ++value) {
          std::string bytes = golden;
          bytes[at] = static_cast<char>(value);
          ExpectSound(kind, bytes);
        }
      }
    }
  }
}

TEST(HostileRecord, OfRandomBytesHarmsNobody) {
  std::mt19937_64 random(RandomSeed());
  for (const Kind& kind : AllKinds()) {
    for (int i = 0; i < 20'000; ++i) {
      std::string bytes(1 + random() % 200, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      bytes[0] = 1;
      ExpectSound(kind, bytes);
    }
  }
}

TEST(HostileRecord, WithNumbersOutOfRangeIsRefused) {
  const auto message = [](uint64_t priority, uint64_t born, uint64_t deadline) {
    std::string bytes = {1, 1};
    for (const uint64_t value : {priority, born, deadline, uint64_t{0}}) AppendVarint(bytes, value);
    return DecodeMessage(bytes).has_value();
  };
  EXPECT_TRUE(message(UINT32_MAX, INT64_MAX, INT64_MAX));
  EXPECT_FALSE(message(uint64_t{UINT32_MAX} + 1, 0, 0));
  EXPECT_FALSE(message(0, uint64_t{1} << 63, 0));
  EXPECT_FALSE(message(0, 0, UINT64_MAX));
  EXPECT_FALSE(DecodeAttempts(std::string("\x01\x00\x00", 3)).has_value());  // no attempt at all
}

TEST(MessageRecordSize, OfAPlainMessageIsSmall) { EXPECT_LE(RowOf({.born = kSometime}).size(), 16u); }

}  // namespace
}  // namespace baton
