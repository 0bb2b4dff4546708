// What cannot be read of the store: the read fails alone, its queue stands still there, everything else goes
// on.
#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/format/records.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr EngineFixtureOptions kSmallWindows{.window_messages = 3, .chunk_rows = 2};

class Damage : public testing::Test {
 protected:
  Damage() { EXPECT_TRUE(broker.Create("other").ok()); }

  // The rows of a kind, in order.
  std::vector<std::string> Rows(RowKind kind) const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : broker.store().rows()) {
      if (key[0] == static_cast<char>(kind)) keys.push_back(key);
    }
    return keys;
  }
  void SkipDamage() {
    EXPECT_TRUE(
        broker.Ask<QueueInfo>(UpdateQueue{.name = "orders", .config = {}, .paused = {}, .skip_damage = true})
            .ok());
  }

  EngineFixture broker{{}, kSmallWindows};
};

TEST_F(Damage, StopsOneQueueAtThatPlace) {
  broker.PublishMany("orders", 8);
  broker.Publish("other", "innocent");
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kReady)[5]);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1", "2", "3", "4"));
  EXPECT_THAT(broker.Drain("other"), ElementsAre("innocent"));
  broker.Publish("orders", "8");
  const QueueInfo queue = broker.Queue("orders");
  EXPECT_EQ(queue.ready, 4u);
  EXPECT_THAT(queue.damage, testing::HasSubstr("a damaged block"));
  EXPECT_EQ(broker.Queue("other").damage, "");
  EXPECT_THAT(broker.damage(), SizeIs(1));
  broker.Advance(seconds(100));
  EXPECT_THAT(broker.damage(), SizeIs(1));  // told once
}

TEST_F(Damage, OfAMessageThatIsDueLetsItExpireOnceItCanBeRead) {
  broker.PublishMany("orders", 8, {.ttl = seconds(1)});
  broker.store().Damage(Rows(RowKind::kReady)[6]);
  broker.Advance(seconds(30));
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  EXPECT_THAT(Rows(RowKind::kExpiry), SizeIs(1));
  broker.store().Heal();
  broker.Advance(seconds(30));
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  EXPECT_THAT(Rows(RowKind::kExpiry), IsEmpty());
}

TEST_F(Damage, OfAMessageThatIsDueLeavesNoHintBehindWhenTheQueueIsPurged) {
  broker.PublishMany("orders", 8, {.ttl = seconds(1)});
  broker.store().Damage(Rows(RowKind::kReady)[6]);
  broker.Advance(seconds(2));
  EXPECT_EQ(broker.Purge("orders"), 1u);
  broker.Advance(seconds(30));
  EXPECT_THAT(Rows(RowKind::kExpiry), IsEmpty());
}

TEST_F(Damage, ThatIsGoneIsForgotten) {
  broker.PublishMany("orders", 8);
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kReady)[5]);
  broker.Drain("orders");
  const SessionId consumer = broker.Connect();
  broker.Subscribe(consumer, "orders");

  broker.store().Heal();
  broker.Advance(seconds(10));

  EXPECT_THAT(BodiesOf(broker.Take(consumer)), ElementsAre("5", "6", "7"));
  EXPECT_EQ(broker.Queue("orders").damage, "");
}

TEST_F(Damage, IsSkippedOnDemandAndCountedAsLost) {
  broker.PublishMany("orders", 8);
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kReady)[5]);
  broker.Drain("orders");

  SkipDamage();

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("6", "7"));
  const QueueInfo queue = broker.Queue("orders");
  EXPECT_EQ(queue.ready, 0u);
  EXPECT_EQ(queue.bytes, 0u);
  EXPECT_EQ(queue.counters.lost, 1u);
  EXPECT_EQ(queue.counters.came(), queue.counters.left());
  EXPECT_EQ(queue.damage, "");
  broker.Publish("orders", "8");
  broker.Restart();
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("8"));
}

TEST_F(Damage, OfARowThatMakesNoSenseIsDamage) {
  broker.PublishMany("orders", 8);
  broker.Restart();
  broker.store().Scramble(Rows(RowKind::kReady)[1]);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0"));
  EXPECT_NE(broker.Queue("orders").damage, "");
  SkipDamage();
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("2", "3", "4", "5", "6", "7"));
  EXPECT_EQ(broker.Queue("orders").counters.lost, 1u);
}

TEST_F(Damage, IsASecondMessageOfOneId) {
  const MessageId first = broker.Publish("orders", "0");
  for (int i = 1; i < 6; ++i) broker.Publish("orders", std::to_string(i));
  broker.Restart();
  broker.store().Tamper([&](FakeStore::Rows& rows) {
    std::string& row = rows.at(Rows(RowKind::kReady)[1]);
    MessageRecord record = DecodeMessage(row).value();
    record.id = first;
    std::string twin;
    AppendMessageHead(twin, record);
    row = twin.append("1");
  });
  const SessionId consumer = broker.Connect();
  broker.Subscribe(consumer, "orders");

  const auto taken = broker.Take(consumer);
  EXPECT_THAT(BodiesOf(taken), ElementsAre("0"));
  EXPECT_THAT(broker.Queue("orders").damage, testing::HasSubstr("two messages have the id"));
  SkipDamage();
  EXPECT_THAT(BodiesOf(broker.Take(consumer)), ElementsAre("2", "3", "4", "5"));
}

TEST_F(Damage, OfDelayedMessagesLetsOthersBecomeDue) {
  for (int i = 0; i < 6; ++i) broker.Publish("orders", std::to_string(i), {.delay = seconds(5 + i)});
  broker.Publish("other", "innocent", {.delay = seconds(20)});
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kDelayed)[2]);

  broker.Advance(seconds(30));
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1"));
  EXPECT_THAT(broker.Drain("other"), ElementsAre("innocent"));
  SkipDamage();
  broker.Advance(seconds(10));
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("3", "4", "5"));
  EXPECT_EQ(broker.Queue("orders").counters.lost, 1u);
  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
}

TEST_F(Damage, OfHintsKeepsOnlyTheirMessagesFromExpiring) {
  for (int i = 0; i < 6; ++i) broker.Publish("orders", std::to_string(i), {.ttl = seconds(5 + i)});
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kExpiry)[2]);
  broker.store().Scramble(Rows(RowKind::kExpiry)[4]);

  broker.Advance(seconds(30));

  EXPECT_EQ(broker.Queue("orders").counters.expired, 4u);
  EXPECT_THAT(broker.Drain("orders"), IsEmpty());  // out of time all the same
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST_F(Damage, OfAMessageFailsTheCallsThatNameIt) {
  std::vector<MessageId> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(broker.Publish("orders", std::to_string(i)));
  const Delivery delivery = broker.Receive("orders").value();
  broker.Restart();
  broker.store().Damage(Rows(RowKind::kReady)[0]);
  broker.store().Scramble(Rows(RowKind::kReady)[5]);

  EXPECT_EQ(broker.Get(ids[0]).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(broker.Get(ids[5]).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(broker.DeleteMessage(ids[5]).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(broker.Ack(delivery).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(broker.Get(ids[3]).ok());
  EXPECT_TRUE(broker.DeleteMessage(ids[3]).ok());
}

}  // namespace
}  // namespace baton
