// Nothing is confirmed before its promise holds; delivery may run ahead of it, or not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Work = EngineFixture::Work;

TEST(Confirm, OfADurableQueueWaitsForTheSync) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kWrites);
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a", "b"});
  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());

  broker.LetGo(Work::kWrites);
  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());  // written, not synced
  broker.LetGo(Work::kSyncs);

  ASSERT_THAT(broker.Log(session).confirms, SizeIs(1));
  const ConfirmRun& run = broker.Log(session).confirms[0];
  EXPECT_EQ(run.first, 1u);
  EXPECT_EQ(run.last, 2u);
  EXPECT_EQ(run.durability, Durability::kDurable);
  EXPECT_THAT(run.failures, IsEmpty());
  EXPECT_EQ(run.ids.size(), 2 * MessageId::kBytes);
}

TEST(Confirm, OfADuplicateInADurableQueueDoesNotWaitBehindARelaxedCommit) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail", {.durability = Durability::kRelaxed}).ok());
  const SessionId session = broker.Connect(ProducerId(1));
  broker.PublishBatch(session, "orders", 1, {"a"});
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "mail", 2, {"nobody hurries to sync this"});

  broker.PublishBatch(session, "orders", 1, {"a"});

  ASSERT_THAT(broker.Log(session).confirms, SizeIs(3));
  EXPECT_THAT(broker.Log(session).confirms[2].duplicates, ElementsAre(1));
}

TEST(Confirm, IsOwedForWhatASessionIsSaidToHaveUnconfirmed) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a", "b"});
  broker.PublishBatch(session, "no-such-queue", 3, {"c"});
  ASSERT_THAT(broker.Status().session_list, SizeIs(1));
  EXPECT_EQ(broker.Status().session_list[0].unconfirmed, 2u);  // the refusal waits for nothing

  broker.LetGo(Work::kSyncs);

  EXPECT_EQ(broker.Status().session_list[0].unconfirmed, 0u);
}

TEST(Confirm, OfARelaxedQueueWaitsForTheWriteOnly) {
  EngineFixture broker({.durability = Durability::kRelaxed});
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kWrites);
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());

  broker.LetGo(Work::kWrites);

  ASSERT_THAT(broker.Log(session).confirms, SizeIs(1));
  EXPECT_EQ(broker.Log(session).confirms[0].durability, Durability::kRelaxed);
}

TEST(Confirm, OfARelaxedQueueDoesNotWaitForADurableOne) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail", {.durability = Durability::kRelaxed}).ok());
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kSyncs);

  broker.PublishBatch(session, "orders", 1, {"durable"});
  broker.PublishBatch(session, "mail", 2, {"relaxed"});

  ASSERT_THAT(broker.Log(session).confirms, SizeIs(1));
  EXPECT_EQ(broker.Log(session).confirms[0].first, 2u);
}

TEST(Confirm, OfARefusalWaitsForNothing) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kWrites);
  broker.PublishBatch(session, "orders", 1, {"a"});

  broker.PublishBatch(session, "nowhere", 2, {"b"});

  ASSERT_THAT(broker.Log(session).confirms, SizeIs(1));
  const PublishFailure& failure = broker.Log(session).confirms[0].failures.at(0);
  EXPECT_EQ(failure.sequence, 2u);
  EXPECT_EQ(failure.status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(failure.status), reason::kQueueNotFound);
}

TEST(Confirm, OfAPublishCallCarriesTheDurabilityAndTheIds) {
  EngineFixture broker({.durability = Durability::kRelaxed});
  const auto reply = broker.Ask<PublishReply>(
      Publish{.session = {},
              .call = {},
              .queue = "orders",
              .producer = {},
              .messages = {{.headers = {}, .body = "a"}, {.headers = {}, .body = "b"}}});

  EXPECT_EQ(reply->durability, Durability::kRelaxed);
  ASSERT_THAT(reply->results, SizeIs(2));
  EXPECT_LT(reply->results[0].id.seq, reply->results[1].id.seq);
  EXPECT_EQ(broker.Get(reply->results[1].id)->body, "b");
}

TEST(Confirm, ToASessionThatHasGoneGoesNowhere) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  broker.Disconnect(session);

  broker.LetGo(Work::kSyncs);

  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a"));
}

TEST(Ack, IsAnsweredWhenItIsAsDurableAsTheQueue) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  const Delivery held = broker.Take(session).at(0);
  broker.Hold(Work::kSyncs);

  const uint64_t settlement = broker.SettleTags(session, {{held.tag, held.tag}});
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  broker.LetGo(Work::kSyncs);

  EXPECT_EQ(broker.Log(session).settled_through, settlement);
}

TEST(Ack, OfARelaxedQueueIsAnsweredWhenItIsWritten) {
  EngineFixture broker({.durability = Durability::kRelaxed});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Hold(Work::kSyncs);

  EXPECT_TRUE(broker.Ack(held).ok());
}

TEST(Ack, ThatWasAnsweredNeverComesBack) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());

  broker.LosePower();

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("1"));
}

TEST(Ack, ThatWasNotWrittenComesBack) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Hold(Work::kWrites);
  const CallId ack = broker.Start(SettleTokens{.call = {}, .settlement = {}, .tokens = {held.token}});
  EXPECT_FALSE(broker.IsAnswered(ack));

  broker.Restart();
  broker.LetGo(Work::kWrites);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a"));
}

TEST(Settlements, AreAnsweredInTheirOrder) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kSyncs);
  broker.SettleTags(session, {{1, 1}});                                  // waits for the disk
  broker.SettleTags(session, {{2, 2}}, {.kind = SettleKind::kRelease});  // waits for nothing
  EXPECT_EQ(broker.Log(session).settled_through, 0u);

  broker.LetGo(Work::kSyncs);

  EXPECT_EQ(broker.Log(session).settled_through, 2u);
}

TEST(Settlements, OfMessagesOnDiskAreAnsweredInTheirOrderToo) {
  EngineFixture broker({.lease = 1s}, {.window_messages = 2, .chunk_rows = 2});
  broker.Publish("orders", "a");
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 1});
  broker.Send(SetCredit{.session = session, .subscription = subscription, .messages = 0});
  broker.Advance(1s);  // the lease has ended
  broker.PublishMany("orders", 10, {.priority = 1});
  broker.Hold(Work::kReads);

  broker.SettleTags(session, {{1, 1}});  // has to read
  broker.SettleTags(session, {{1, 1}});  // an error at once
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  broker.LetGo(Work::kReads);

  EXPECT_EQ(broker.Log(session).settled_through, 2u);
  ASSERT_THAT(broker.Log(session).settle_failures, SizeIs(1));
  EXPECT_EQ(broker.Log(session).settle_failures[0].settlement, 2u);
  EXPECT_EQ(broker.Drain("orders").size(), 10u);
}

TEST(EagerDelivery, RunsAheadOfTheSync) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kWrites);

  broker.PublishBatch(session, "orders", 1, {"a"});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());
}

TEST(EagerDelivery, ThatWasAckedBeforeTheSyncLeavesNothing) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kWrites);
  broker.PublishBatch(session, "orders", 1, {"a"});
  broker.SettleTags(session, {{1, 1}});

  broker.LetGo(Work::kWrites);

  EXPECT_THAT(broker.Log(session).confirms, SizeIs(1));
  EXPECT_EQ(broker.store().CountOf(RowKind::kReady), 0u);
}

TEST(CommittedDelivery, WaitsForTheSyncOfADurableQueue) {
  EngineFixture broker({.delivery = DeliveryMode::kCommitted});
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kWrites);
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  EXPECT_THAT(broker.Take(session), IsEmpty());

  broker.LetGo(Work::kWrites);
  EXPECT_THAT(broker.Take(session), IsEmpty());
  broker.LetGo(Work::kSyncs);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
}

TEST(CommittedDelivery, WaitsForTheWriteOfARelaxedQueue) {
  EngineFixture broker({.durability = Durability::kRelaxed, .delivery = DeliveryMode::kCommitted});
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kWrites);
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  EXPECT_THAT(broker.Take(session), IsEmpty());

  broker.LetGo(Work::kWrites);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
}

TEST(CommittedDelivery, TurnedOffLiveDeliversAtOnce) {
  EngineFixture broker({.delivery = DeliveryMode::kCommitted});
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  EXPECT_THAT(broker.Take(session), IsEmpty());

  const CallId call = broker.Start(
      UpdateQueue{.call = {}, .name = "orders", .config = {.delivery = DeliveryMode::kEager}, .paused = {}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
  EXPECT_FALSE(broker.IsAnswered(call));  // the change itself waits for its sync
}

TEST(PowerLoss, KeepsEverythingConfirmedAndInventsNothing) {
  EngineFixture broker;
  broker.PublishMany("orders", 5);
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Hold(Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"not confirmed"});

  broker.LosePower();
  broker.LetGo(Work::kSyncs);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1", "2", "3", "4"));
}

}  // namespace
}  // namespace baton
