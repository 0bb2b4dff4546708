// A turn's budget: however much others bring about at once, no commit grows beyond its share, and who cannot
// be served now hinders nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr size_t kTurn = 20'000;
// Beyond its share a commit may hold one body more, and in the end what time brings: half as much again.
constexpr size_t kCommitMax = kTurn + kTurn / 2 + 6'000;

// Sixteen times what one turn may write, in bodies of 4,000 bytes.
class MuchAtOnce : public testing::Test {
 protected:
  static constexpr int kMessages = 80;
  explicit MuchAtOnce(const EngineFixtureOptions& options = {.turn_commit_bytes = kTurn})
      : broker({.backoff = 1h, .expired = Disposal::kDeadLetter}, options) {
    EXPECT_TRUE(broker.Create("dead").ok());
    EXPECT_TRUE(broker.Update("orders", {.dead_letter_queue = "dead"}).ok());
  }
  void PublishAll(const PublishOptions& options = {}) {
    for (int i = 0; i < kMessages; ++i) broker.Publish("orders", std::string(4'000, 'x'), options);
  }

  EngineFixture broker;
};

TEST_F(MuchAtOnce, ExpiresInShares) {
  PublishAll({.ttl = 1min});
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("dead").ready, 80u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

TEST_F(MuchAtOnce, EndsLeasesInShares) {
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.lease = 1min, .credit_messages = 100});
  PublishAll();
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("orders").delayed, 80u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

TEST_F(MuchAtOnce, GivesBackWhatADeadConsumerHeldInShares) {
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});
  PublishAll();
  broker.Disconnect(session);
  EXPECT_EQ(broker.Queue("orders").delayed, 80u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

TEST_F(MuchAtOnce, GivesUpInSharesWhenAllOfItIsNacked) {
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});
  PublishAll();
  broker.SettleTags(session, {{1, 80}}, {.kind = SettleKind::kDeadLetter});
  EXPECT_EQ(broker.Queue("dead").ready, 80u);
  EXPECT_EQ(broker.Log(session).settled_through, 1u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

class MuchOnDisk : public MuchAtOnce {
 protected:
  MuchOnDisk() : MuchAtOnce({.window_messages = 30, .chunk_rows = 16, .turn_commit_bytes = kTurn}) {}
};

TEST_F(MuchOnDisk, ExpiresInShares) {
  PublishAll({.ttl = 1min});
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("dead").ready, 80u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

TEST_F(MuchOnDisk, WakesInShares) {
  for (int i = 0; i < 40; ++i) broker.Publish("orders", std::string(4'000, 'x'), {.priority = 5});
  PublishAll({.delay = 1min});
  broker.Advance(2min);
  EXPECT_EQ(broker.Queue("orders").ready, 120u);
  EXPECT_LT(broker.largest_commit(), kCommitMax);
}

// ---- The store is behind.

class SlowDisk : public testing::Test {
 protected:
  SlowDisk() { EXPECT_TRUE(broker.Create("next").ok()); }
  // The disk has more on its way than it should.
  void FallBehind() {
    broker.Hold(EngineFixture::Work::kWrites);
    (void)broker.Start(
        Publish{.queue = "next", .messages = {{.headers = {}, .body = std::string(2'000, 'x')}}});
  }
  void CatchUp() { broker.LetGo(EngineFixture::Work::kWrites); }

  EngineFixture broker{{.backoff = 1h}, {.uncommitted_bytes_max = 1'000}};
};

TEST_F(SlowDisk, LetsNoAckOvertakeWhatItsSessionPublishedBefore) {
  broker.Publish("orders", "work");
  const SessionId session = broker.Connect(ProducerId(7));
  broker.Subscribe(session, "orders");
  const auto got = broker.Take(session);
  FallBehind();
  broker.PublishBatch(session, "next", 1, {"the result"});
  broker.SettleTags(session, {{got.at(0).tag, got.at(0).tag}});
  EXPECT_EQ(broker.Queue("next").ready, 1u);
  EXPECT_EQ(broker.Queue("orders").leased, 1u) << "its result is not decided yet";
  CatchUp();
  EXPECT_EQ(broker.Queue("next").ready, 2u);
  EXPECT_EQ(broker.Queue("orders").leased, 0u);
  EXPECT_EQ(broker.Log(session).settled_through, 1u);
}

TEST_F(SlowDisk, KeepsTheOrderOfASessionAlsoTowardsMemoryQueues) {
  ASSERT_TRUE(broker.Create("fast", {.durability = Durability::kMemory}).ok());
  const SessionId session = broker.Connect(ProducerId(7));
  FallBehind();
  broker.PublishBatch(session, "next", 1, {"first"});
  broker.PublishBatch(session, "fast", 2, {"second"});
  EXPECT_EQ(broker.Queue("fast").ready, 0u);
  CatchUp();
  EXPECT_EQ(broker.Queue("fast").ready, 1u);
  EXPECT_EQ(broker.Queue("next").ready, 2u);
}

TEST_F(SlowDisk, LetsOthersSettleMeanwhile) {
  broker.Publish("orders", "work");
  const SessionId publisher = broker.Connect(ProducerId(7));
  const SessionId consumer = broker.Connect();
  broker.Subscribe(consumer, "orders");
  FallBehind();
  broker.PublishBatch(publisher, "next", 1, {"waits"});
  broker.SettleTags(consumer, {{1, 1}});
  EXPECT_EQ(broker.Queue("orders").leased, 0u);
  CatchUp();
}

TEST_F(SlowDisk, DoesNotKeepPublishesToMemoryQueuesWaiting) {
  ASSERT_TRUE(broker.Create("fast", {.durability = Durability::kMemory}).ok());
  FallBehind();
  const CallId waits = broker.Start(Publish{.queue = "next", .messages = {{.headers = {}, .body = "later"}}});
  const CallId call = broker.Start(Publish{.queue = "fast", .messages = {{.headers = {}, .body = "now"}}});
  EXPECT_TRUE(broker.IsAnswered(call));
  EXPECT_FALSE(broker.IsAnswered(waits));
  CatchUp();
  EXPECT_TRUE(broker.IsAnswered(waits));
}

TEST_F(SlowDisk, LeavesPublishesToMemoryQueuesTheirOwnRoom) {
  ASSERT_TRUE(broker.Create("fast", {.durability = Durability::kMemory}).ok());
  const SessionId to_disk = broker.Connect(ProducerId(7));
  const SessionId to_memory = broker.Connect(ProducerId(8));
  FallBehind();
  for (uint64_t i = 1; i <= 20; ++i) {
    broker.PublishBatch(to_disk, "next", i, {std::string(1'000, 'x')});
    broker.PublishBatch(to_memory, "fast", i, {"now"});
  }
  EXPECT_EQ(broker.Queue("fast").ready, 20u);
  EXPECT_GT(broker.held_back().for_disk, 20'000u);
  EXPECT_EQ(broker.held_back().for_memory, 0u);
  const CallId refused = broker.Start(Publish{.queue = "next", .messages = {{.headers = {}, .body = "x"}}});
  const CallId call = broker.Start(Publish{.queue = "fast", .messages = {{.headers = {}, .body = "x"}}});
  EXPECT_TRUE(broker.IsAnswered(refused) && broker.IsAnswered(call));
  EXPECT_EQ(broker.Queue("fast").ready, 21u);
  CatchUp();
  EXPECT_EQ(broker.held_back(), HeldBack());
  EXPECT_EQ(broker.Queue("next").ready, 21u);
}

TEST_F(SlowDisk, DoesNotKeepMemoryQueuesLeasesAndExpiriesWaiting) {
  ASSERT_TRUE(broker.Create("fast", {.durability = Durability::kMemory, .expired = Disposal::kPark}).ok());
  ASSERT_TRUE(broker.Update("orders", {.expired = Disposal::kPark}).ok());
  for (const char* queue : {"orders", "fast"}) {
    broker.Publish(queue, "leased", {.priority = 1});
    ASSERT_TRUE(broker.Receive(queue, 1s).has_value());
    broker.Publish(queue, "short-lived", {.ttl = 1s});
  }
  FallBehind();
  broker.Advance(10s);
  EXPECT_EQ(broker.Queue("fast").counters.returned, 1u);
  EXPECT_EQ(broker.Queue("fast").parked, 1u);
  EXPECT_EQ(broker.Queue("orders").counters.returned, 0u);
  EXPECT_EQ(broker.Queue("orders").parked, 0u);
  CatchUp();
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("orders").counters.returned, 1u);
  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST_F(SlowDisk, EndsASessionWhoseSettlementsBehindAPublishAreBeyondAllHonesty) {
  const SessionId session = broker.Connect(ProducerId(7));
  FallBehind();
  broker.PublishBatch(session, "next", 1, {"waits"});
  for (int i = 0; i < 100 && !broker.Log(session).end.has_value(); ++i)
    broker.SettleTags(session, std::vector<TagRange>(65'536, {1, 1}));
  EXPECT_EQ(ReasonOf(broker.Log(session).end.value()), reason::kBrokerBusy);
  CatchUp();
}

// ---- Settlements that wait for room in a memory queue.

class PutOffSettlement : public testing::Test {
 protected:
  PutOffSettlement() {
    EXPECT_TRUE(broker.Create("fast", {.durability = Durability::kMemory}).ok());
    broker.Publish("fast", "a");
    session = broker.Connect();
    broker.Subscribe(session, "fast");
  }
  static constexpr MemoryRoom kFull{.grow = 0, .rewrite = 0, .remove = 100, .largest = 100};
  Settlement nack{.kind = SettleKind::kNack, .delay = 5s, .reason = {}};

  EngineFixture broker;
  SessionId session;
};

TEST_F(PutOffSettlement, IsAnsweredWhenTheLastMemoryQueueIsDeleted) {
  broker.SetMemoryRoom(kFull);
  broker.SettleTags(session, {{1, 1}}, nack);
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  broker.Delete("fast");
  broker.SetMemoryRoom(MemoryRoom());
  EXPECT_EQ(broker.Log(session).settled_through, 1u);
}

TEST_F(PutOffSettlement, IsTheOnlyOneOfItsDelivery) {
  broker.SetMemoryRoom(kFull);
  broker.SettleTags(session, {{1, 1}}, nack);
  broker.SettleTags(session, {{1, 1}});
  EXPECT_EQ(broker.Queue("fast").leased, 1u) << "the ack comes too late";
  broker.SetMemoryRoom({.grow = 0, .rewrite = 1'000, .remove = 1'000, .largest = 100});
  EXPECT_EQ(broker.Queue("fast").delayed, 1u);
  EXPECT_EQ(broker.Log(session).settled_through, 2u);
  EXPECT_EQ(broker.Log(session).settle_failures.size(), 1u);
}

TEST_F(PutOffSettlement, ByTokenIsAnsweredAtOnceWhenThereIsNoSuchQueue) {
  LeaseToken token = {.epoch = broker.Status().epoch, .delivery = DeliveryNumber(1), .attempt = 1, .id = {}};
  token.id.queue = QueueId(kMemoryQueueBit | 77);
  token.id.seq = MakeSeq(token.epoch, 5);
  broker.SetMemoryRoom(MemoryRoom());
  for (const SettleKind kind : {SettleKind::kAck, SettleKind::kNack, SettleKind::kRelease})
    EXPECT_EQ(ReasonOf(broker.Settle(token, {.kind = kind, .delay = {}, .reason = {}})),
              reason::kMessageNotFound);
}

TEST_F(PutOffSettlement, ByTokenEndsWithItsCall) {
  broker.Publish("fast", "b");
  const Delivery delivery = broker.Take(session).at(1);
  broker.SetMemoryRoom(kFull);
  const CallId call = broker.Start(SettleTokens{.call = {}, .settlement = nack, .tokens = {delivery.token}});
  EXPECT_FALSE(broker.IsAnswered(call));
  broker.Send(CancelCall{call});
  EXPECT_TRUE(absl::IsCancelled(broker.TakeAnswer(call).status()));
  broker.SetMemoryRoom({.grow = 0, .rewrite = 1'000, .remove = 1'000, .largest = 100});
  EXPECT_EQ(broker.Queue("fast").leased, 2u);
}

TEST(FullSharedMemory, KeepsExpiriesThatCannotBeCarriedOutAndLetsOthersGoOn) {
  EngineFixture broker({.expired = Disposal::kPark}, {.chunk_rows = 16});
  ASSERT_TRUE(broker.Create("fast", {.durability = Durability::kMemory, .expired = Disposal::kPark}).ok());
  broker.PublishMany("fast", 100, {.ttl = 10s});
  broker.Publish("orders", "a", {.ttl = 15s});
  broker.SetMemoryRoom({.grow = 0, .rewrite = 0, .remove = 100, .largest = 100});
  broker.Advance(20s);
  EXPECT_EQ(broker.Queue("fast").parked, 0u);
  EXPECT_EQ(broker.Queue("orders").parked, 1u);
  broker.SetMemoryRoom({.grow = 0, .rewrite = 2'000, .remove = 2'000, .largest = 100});
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("fast").parked, 100u);
}

// ---- Ids that somebody made up: a true number, a false place.

class MadeUpId : public testing::Test {
 protected:
  static MessageId MadeUp(MessageId id) {
    id.place ^= 1;
    return id;
  }
  void PushOutOfMemory() {
    for (int i = 0; i < 10; ++i) broker.Publish("orders", "high", {.priority = 5});
  }
  EngineFixture broker{{}, {.window_messages = 3, .chunk_rows = 2}};
};

TEST_F(MadeUpId, DoesNotKeepAGenuineAckFromItsMessage) {
  broker.Publish("orders", "first");
  const Delivery delivery = broker.Receive("orders", 1s).value();
  broker.Advance(2s);
  PushOutOfMemory();
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId other = broker.Start(GetMessage{.call = {}, .id = MadeUp(delivery.token.id)});
  const CallId ack = broker.Start(SettleTokens{.call = {}, .settlement = {}, .tokens = {delivery.token}});
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_TRUE(std::get<SettleReply>(broker.TakeAnswer(ack).value()).results.at(0).ok());
  EXPECT_TRUE(absl::IsNotFound(broker.TakeAnswer(other).status()));
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
}

TEST_F(MadeUpId, DoesNotKeepAMessageFromExpiring) {
  const MessageId id = broker.Publish("orders", "mortal", {.ttl = 10s});
  PushOutOfMemory();
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId other = broker.Start(GetMessage{.call = {}, .id = MadeUp(id)});
  broker.Advance(10s);
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_TRUE(absl::IsNotFound(broker.TakeAnswer(other).status()));
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
}

TEST_F(MadeUpId, OfWhichThereAreManyIsRefusedInsteadOfReadWithoutBound) {
  const MessageId id = broker.Publish("orders", "a");
  PushOutOfMemory();
  broker.Hold(EngineFixture::Work::kAnswers);
  std::vector<CallId> calls;
  for (size_t i = 1; i <= 6'000; ++i) {  // more than are looked for at a time
    MessageId made_up = id;
    made_up.place += i;
    calls.push_back(broker.Start(GetMessage{.call = {}, .id = made_up}));
  }
  EXPECT_EQ(ReasonOf(broker.TakeAnswer(calls.back()).status()), reason::kBrokerBusy);
  calls.pop_back();
  broker.LetGo(EngineFixture::Work::kAnswers);
  size_t looked_for = 0;
  for (const CallId call : calls) {
    const absl::Status status = broker.TakeAnswer(call).status();
    looked_for += absl::IsNotFound(status);
    EXPECT_TRUE(absl::IsNotFound(status) || ReasonOf(status) == reason::kBrokerBusy) << status;
  }
  EXPECT_GT(looked_for, kReadsInFlightMax);
}

TEST_F(MadeUpId, OfWhichThereAreManyKeepsNobodyFromSettlingWhatIsInMemory) {
  const MessageId id = broker.Publish("orders", "a");
  PushOutOfMemory();
  ASSERT_TRUE(broker.Create("other").ok());
  broker.Publish("other", "b");
  const Delivery held = broker.Receive("other").value();
  broker.Hold(EngineFixture::Work::kAnswers);
  for (size_t i = 1; i <= 6'000; ++i) {
    MessageId made_up = id;
    made_up.place += i;
    broker.Start(GetMessage{.call = {}, .id = made_up});
  }
  EXPECT_TRUE(broker.Ack(held).ok());
}

}  // namespace
}  // namespace baton
