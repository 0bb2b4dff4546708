// What of rows that somebody else has left is believed.
#include "storage/format/row_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/message_rows_of.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Rows = MessageRowsOf::Rows;

constexpr QueueId kQueue(5 | kMemoryQueueBit);
constexpr QueueId kUnknown(6 | kMemoryQueueBit);

class RowAuditTest : public testing::Test {
 protected:
  RowAuditTest() {
    queue.Ready(10, "first");
    queue.Ready(11, "second");
    queue.Returned(12, "third");
    queue.Parked(13, "fourth");
    queue.Mortal(14, "fifth");
    for (uint64_t seq = 15; seq < 25; ++seq) queue.Ready(seq, "more");
    rows = queue.rows();
    rows[MemoryProducerKey(ProducerId(3))] = EncodeProducer({.highest = 7, .last_use = {}, .accepted = 1});
  }
  absl::Status Judge(const Rows& judged) {
    RowAudit audit({kQueue}, [&](std::string_view key) -> std::optional<std::string_view> {
      const auto found = judged.find(std::string(key));
      return found == judged.end() ? std::nullopt : std::optional<std::string_view>(found->second);
    });
    absl::Status status;
    for (const auto& [key, value] : judged) {
      if (status.ok() && key[0] == static_cast<char>(RowKind::kLedger)) status = audit.AddLedger(key, value);
    }
    for (const auto& [key, value] : judged) {
      if (status.ok()) status = audit.Add(key, value);
    }
    if (status.ok()) status = audit.Finish();
    idle = audit.idle();
    return status;
  }
  std::string Fault(const Rows& judged) { return std::string(Judge(judged).message()); }

  MessageRowsOf queue{kQueue};
  Rows rows;
  std::vector<std::string> idle;
};

TEST_F(RowAuditTest, BelievesWhatAnEngineWrites) {
  EXPECT_EQ(Fault(rows), "");
  EXPECT_THAT(idle, IsEmpty());
}

TEST_F(RowAuditTest, MissesEveryRowThatIsNotThere) {
  for (const auto& [key, value] : rows) {
    if (key[0] == static_cast<char>(RowKind::kMemoryProducer)) continue;  // may not have published
    Rows without = rows;
    without.erase(key);
    EXPECT_TRUE(absl::IsDataLoss(Judge(without))) << "without a row of kind " << key[0];
  }
}

TEST_F(RowAuditTest, FollowsAHintThatWasMoved) {
  queue.Rehinted(40, "sixth");
  rows = queue.rows();
  EXPECT_EQ(Fault(rows), "");

  const std::string attempts = AttemptsKey(kQueue, Seq(40));
  rows[attempts] = EncodeAttempts({.hint = kNever});
  EXPECT_THAT(Fault(rows), HasSubstr("an expiry hint without a message"));
  rows[attempts] = EncodeAttempts({.hint = InstantFromMicros(5)});
  EXPECT_THAT(Fault(rows), HasSubstr("would not expire"));
}

TEST_F(RowAuditTest, FindsARowThatIsTooMany) {
  const auto with = [&](const std::string& key, const std::string& value) {
    Rows more = rows;
    more[key] = value;
    return Fault(more);
  };
  const std::string message = rows.at(ReadyKey(kQueue, {.rank = RankOfPriority(0), .seq = Seq(10)}));
  EXPECT_THAT(with(ReadyKey(kQueue, {.rank = RankOfPriority(0), .seq = Seq(40)}), message),
              HasSubstr("its ledger"));
  EXPECT_THAT(with(AttemptsKey(kQueue, Seq(10)), EncodeAttempts({.count = 1, .reason = ""})),
              HasSubstr("its ledger counts"));
  EXPECT_THAT(with(LocatorKey(Seq(40)), EncodeLocator(ParkedKey(kQueue, Seq(40)))),
              HasSubstr("a locator without a message"));
  EXPECT_THAT(with(ExpiryKey({InstantFromMicros(5), kQueue, Seq(40)}), EncodeExpiryHint(queue.Id(40))),
              HasSubstr("an expiry hint without a message"));
  EXPECT_THAT(with(QueueKey("name"), ""), HasSubstr("a kind that does not belong there"));
}

TEST_F(RowAuditTest, FindsALedgerThatCountsOtherBytesOrBirths) {
  queue.ledger().ready.bytes += 1;
  EXPECT_THAT(Fault(queue.rows()), HasSubstr("its ledger counts 13 ready, 1 delayed, 1 parked messages"));
  queue.ledger().ready.bytes -= 1;
  queue.ledger().births.Add(InstantFromMicros(1));
  EXPECT_THAT(Fault(queue.rows()), HasSubstr("its ledger counts"));
  queue.ledger().births.Clear();
  EXPECT_THAT(Fault(queue.rows()), HasSubstr("does not count a birth"));
}

TEST_F(RowAuditTest, FindsBirthsThatAreNotThoseOfTheLedger) {
  ASSERT_TRUE(rows.contains(BirthsKey(kQueue)));
  rows[BirthsKey(kQueue)] = "?";
  EXPECT_THAT(Fault(rows), HasSubstr("the births of its messages cannot be read"));
  BirthBuckets others;
  for (int i = 0; i < 20; ++i) others.Add(InstantFromMicros(1'000'000'000 + i * 1'000'000));
  rows[BirthsKey(kQueue)] = EncodeBirths(others.TakeRow().value());
  EXPECT_TRUE(absl::IsDataLoss(Judge(rows)));
}

TEST_F(RowAuditTest, FindsAMessageBeforeTheHead) {
  queue.ledger().head = {.rank = RankOfPriority(0), .seq = Seq(11)};
  EXPECT_THAT(Fault(queue.rows()), HasSubstr("before the first one"));
}

TEST_F(RowAuditTest, NamesWhatMeansNothing) {
  MessageRowsOf other(kUnknown);
  other.Ready(30, "of a queue that is gone");
  other.Mortal(31, "likewise");
  Rows expected_idle = other.rows();
  // What a purge leaves: below the floor.
  expected_idle[LocatorKey(Seq(2))] = EncodeLocator(ParkedKey(kQueue, Seq(2)));
  expected_idle[ExpiryKey({InstantFromMicros(5), kQueue, Seq(3)})] = EncodeExpiryHint(queue.Id(3));
  queue.SetFloor(10);
  Rows all = queue.rows();
  all.insert(expected_idle.begin(), expected_idle.end());
  EXPECT_EQ(Fault(all), "");
  std::vector<std::string> keys;
  for (const auto& [key, value] : expected_idle) keys.push_back(key);
  EXPECT_EQ(idle, keys);
}

// Its ledger and its messages went in one commit; the definition, on disk, was to follow.
TEST_F(RowAuditTest, NamesWhatAQueueInDeletionLeaves) {
  const Rows left = {{ExpiryKey({InstantFromMicros(5), kQueue, Seq(3)}), EncodeExpiryHint(queue.Id(3))},
                     {LocatorKey(Seq(4)), EncodeLocator(ParkedKey(kQueue, Seq(4)))}};
  EXPECT_EQ(Fault(left), "");
  EXPECT_EQ(idle.size(), 2u);
}

TEST_F(RowAuditTest, SurvivesAnyBytes) {
  std::mt19937_64 random(RandomSeed());
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    Rows damaged;
    for (const auto& [sound_key, sound_value] : rows) {
      std::string key = sound_key;
      std::string value = sound_value;
      std::string& text = random() % 2 == 0 && !value.empty() ? value : key;
      if (random() % 4 == 0) text[random() % text.size()] = static_cast<char>(random());
      if (random() % 16 == 0 && text.size() > 1) text.resize(1 + random() % (text.size() - 1));
      damaged[key] = value;
    }
    refused += Judge(damaged).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace baton
