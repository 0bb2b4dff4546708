// Shared memory is scarce: what a turn writes for memory queues keeps to what the store has room for, waits
// when there is none, and disturbs no other queue.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "storage/format/records.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr size_t kPart = 20'000;
constexpr MemoryRoom kNoRoom{};
constexpr MemoryRoom kToRewrite{.grow = 0, .rewrite = kPart, .remove = kPart, .largest = 0};
constexpr MemoryRoom kToRemove{.grow = 0, .rewrite = 0, .remove = kPart, .largest = 0};

class ScarceMemory : public testing::Test {
 protected:
  explicit ScarceMemory(QueueConfigPatch config = {}) {
    EXPECT_TRUE(broker.Create("dead", {.durability = Durability::kMemory}).ok());
    config.durability = Durability::kMemory;
    config.dead_letter_queue = "dead";
    EXPECT_TRUE(broker.Create("fast", config).ok());
  }
  // A hundred messages of a kilobyte, held by a session.
  SessionId Hold() {
    const SessionId session = broker.Connect();
    broker.Subscribe(session, "fast", {.lease = 30s, .credit_messages = 100});
    for (int i = 0; i < 100; ++i) broker.Publish("fast", std::string(1'000, 'x'));
    EXPECT_EQ(broker.Queue("fast").leased, 100u);
    return session;
  }

  EngineFixture broker{{.backoff = 1h}};
};

TEST_F(ScarceMemory, RefusesWhatMakesMemoryQueuesGrow) {
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_TRUE(absl::IsResourceExhausted(broker.TryPublish("fast", "a").status));
  EXPECT_TRUE(absl::IsResourceExhausted(broker.Create("another", {.durability = Durability::kMemory})));
  EXPECT_EQ(broker.Status().queues, 3u);
  EXPECT_TRUE(broker.TryPublish("orders", "a").status.ok());
}

TEST_F(ScarceMemory, KeepsEachCommitOfReturnsToItsRoom) {
  const SessionId session = Hold();
  broker.SetMemoryRoom(kToRewrite);
  broker.SettleTags(session, {{1, 50}}, {.kind = SettleKind::kNack, .delay = 1h});
  EXPECT_EQ(broker.Queue("fast").delayed, 50u);
  broker.SettleTags(session, {{51, 75}}, {.kind = SettleKind::kDeadLetter});
  EXPECT_EQ(broker.Queue("dead").ready, 25u);
  broker.Disconnect(session);
  EXPECT_EQ(broker.Queue("fast").leased, 0u);
  EXPECT_LT(broker.largest_commit(), kPart + 5'000);
}

TEST_F(ScarceMemory, LetsReturnsWaitAndOthersGoOn) {
  const SessionId session = Hold();
  broker.Publish("orders", "a");
  const auto other = broker.Receive("orders");
  broker.SetMemoryRoom(kToRemove);
  broker.SettleTags(session, {{1, 10}}, {.kind = SettleKind::kNack, .delay = 1h});
  EXPECT_EQ(broker.Queue("fast").delayed, 0u);
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  EXPECT_TRUE(broker.Nack(*other, 1h).ok());
  broker.SettleTags(session, {{11, 20}});  // acks
  EXPECT_EQ(broker.Queue("fast").leased, 90u);
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_EQ(broker.Queue("fast").delayed, 10u);
  EXPECT_EQ(broker.Log(session).settled_through, 2u);
}

TEST_F(ScarceMemory, AsksForATurnWhenWhatWasPutOffMayGoOn) {
  const SessionId session = Hold();
  EXPECT_FALSE(broker.SetMemoryRoom(kNoRoom));
  broker.SettleTags(session, {{1, 10}}, {.kind = SettleKind::kNack, .delay = 1h});
  EXPECT_FALSE(broker.SetMemoryRoom(kToRemove));
  EXPECT_TRUE(broker.SetMemoryRoom(kToRewrite));
  EXPECT_FALSE(broker.SetMemoryRoom(kToRewrite));
}

TEST_F(ScarceMemory, LetsAcksWaitToo) {
  const SessionId session = Hold();
  broker.SetMemoryRoom(kNoRoom);
  broker.SettleTags(session, {{1, 10}});
  EXPECT_EQ(broker.Queue("fast").leased, 100u);
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_EQ(broker.Queue("fast").leased, 90u);
}

TEST_F(ScarceMemory, TakesAcksPieceByPieceThoughNothingMayBeWrittenAgain) {
  const SessionId session = Hold();
  broker.SetMemoryRoom(kToRemove);
  broker.SettleTags(session, {{1, 5}}, {.kind = SettleKind::kNack, .delay = 1h});
  broker.SetMemoryRoom({.grow = 0, .rewrite = 0, .remove = 3'000, .largest = 0});
  broker.SettleTags(session, {{6, 100}});
  EXPECT_EQ(broker.Queue("fast").leased, 5u);
  EXPECT_EQ(broker.Queue("fast").delayed, 0u);
}

TEST_F(ScarceMemory, ProlongsLeasesUntilTheirEndCanBeWritten) {
  Hold();
  broker.SetMemoryRoom(kToRemove);
  broker.Advance(60s);
  EXPECT_EQ(broker.Queue("fast").leased, 100u);
  broker.SetMemoryRoom(kToRewrite);
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("fast").counters.returned, 100u);
}

TEST_F(ScarceMemory, EndsLeasesInTimeThoughTheyTakeSeveralCommits) {
  Hold();
  broker.SetMemoryRoom(kToRewrite);
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("fast").counters.returned, 100u);
}

TEST_F(ScarceMemory, MovesNothingForALateAckWhenThereIsRoomOnlyToRemove) {
  ASSERT_TRUE(broker.Update("fast", {.expired = Disposal::kDeadLetter}).ok());
  broker.Publish("fast", "short-lived", {.ttl = 2s});
  const Delivery delivery = broker.Receive("fast", 1s).value();
  broker.Advance(1s);
  broker.SetMemoryRoom(kToRemove);
  broker.Advance(2s);

  EXPECT_EQ(ReasonOf(broker.Ack(delivery)), reason::kLeaseLost);

  EXPECT_EQ(broker.Queue("dead").ready, 0u);
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_THAT(broker.Drain("dead"), ElementsAre("short-lived"));
}

TEST_F(ScarceMemory, GivesBackWhatADeadConsumerHeldWhenThereIsRoom) {
  broker.Disconnect([this] {
    const SessionId session = Hold();
    broker.SetMemoryRoom(kToRemove);
    return session;
  }());
  EXPECT_EQ(broker.Queue("fast").leased, 100u);
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_EQ(broker.Queue("fast").leased, 0u);
}

TEST_F(ScarceMemory, NeverDeliversWhatItHasNoRoomToExpire) {
  ASSERT_TRUE(broker.Update("fast", {.expired = Disposal::kDeadLetter}).ok());
  broker.Publish("fast", "short-lived", {.ttl = 1s});
  broker.Publish("fast", "lasting");
  broker.SetMemoryRoom(kToRemove);
  broker.Advance(2s);
  EXPECT_FALSE(broker.Receive("fast").has_value());
  EXPECT_EQ(broker.Queue("dead").ready, 0u);
  broker.SetMemoryRoom(kToRewrite);
  EXPECT_THAT(broker.Drain("fast"), ElementsAre("lasting"));
  EXPECT_THAT(broker.Drain("dead"), ElementsAre("short-lived"));
}

TEST_F(ScarceMemory, DeliversWhatIsDueOnceItMayBeWrittenAgain) {
  for (int i = 0; i < 5; ++i) broker.Publish("fast", "delayed", {.delay = 1s});
  broker.SetMemoryRoom(kToRemove);
  broker.Advance(5s);
  broker.SetMemoryRoom(kToRewrite);
  broker.Advance(1s);
  EXPECT_EQ(broker.Drain("fast").size(), 5u);
}

class ScarceMemoryThatDrops : public ScarceMemory {
 protected:
  ScarceMemoryThatDrops() : ScarceMemory({.overflow = OverflowPolicy::kDropOldest}) {
    for (int i = 0; i < 20; ++i) broker.Publish("fast", std::string(1'000, 'x'));
  }
  uint64_t Dropped() { return broker.Queue("fast").counters.dropped; }
};

TEST_F(ScarceMemoryThatDrops, TakesNoMessageThatIsLargerThanTheStoreIsReadyFor) {
  broker.SetMemoryRoom({.grow = 0, .rewrite = kPart, .remove = kPart, .largest = 2'000});

  EXPECT_TRUE(absl::IsResourceExhausted(broker.TryPublish("fast", std::string(5'000, 'x')).status));

  EXPECT_EQ(Dropped(), 0u);
  EXPECT_TRUE(broker.TryPublish("fast", std::string(1'200, 'x')).status.ok());
  EXPECT_GT(Dropped(), 0u);
}

TEST_F(ScarceMemoryThatDrops, KeepsACommitOfSeveralLargeMessagesToItsRoom) {
  constexpr size_t kLargest = 8'000;
  broker.SetMemoryRoom({.grow = 0, .rewrite = 5'000, .remove = 5'000, .largest = kLargest});
  const SessionId session = broker.Connect(ProducerId(1));

  broker.PublishBatch(session, "fast", 1, std::vector<std::string>(3, std::string(7'000, 'x')));

  EXPECT_EQ(broker.Log(session).confirms.at(0).failures.size(), 2u);
  EXPECT_LT(broker.largest_commit(), 5'000 + kLargest + kLedgerBytesMax + kProducerBytesMax);
}

}  // namespace
}  // namespace baton
