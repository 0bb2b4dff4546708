// Expiry: exact to the millisecond in every state, never early, never delivered after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

// Nothing of any message is left in the store.
void ExpectNoRows(const EngineFixture& broker) {
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kExpiry,
                             RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(Expiry, OfAReadyMessageIsExact) {
  EngineFixture broker;
  const MessageId id = broker.Publish("orders", "a", {.ttl = 10s});
  EXPECT_EQ(broker.Get(id)->expires, broker.now() + 10s);

  broker.Advance(10s - 1ms);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  EXPECT_EQ(broker.Queue("orders").counters.expired, 1u);
  EXPECT_EQ(broker.Get(id).status().code(), absl::StatusCode::kNotFound);
  ExpectNoRows(broker);
}

TEST(Expiry, AtTheDeadlineItselfIsTooLateForADelivery) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.ttl = 10s});
  broker.Pause("orders");
  broker.Advance(10s - 1us);
  broker.Resume("orders");
  EXPECT_TRUE(broker.Release(broker.Receive("orders").value()).ok());

  broker.Advance(1us);

  EXPECT_FALSE(broker.Receive("orders").has_value());
}

TEST(Expiry, OfADelayedMessageIsExact) {
  EngineFixture broker;
  broker.Publish("orders", "never ready again", {.ttl = 10s});
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 1min).ok());
  broker.Publish("orders", "a second of life", {.ttl = 61s, .delay = 1min});

  broker.Advance(10s - 1ms);
  EXPECT_EQ(broker.Queue("orders").delayed, 2u);
  broker.Advance(1ms);
  EXPECT_EQ(broker.Queue("orders").delayed, 1u);

  broker.Advance(50s);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  ExpectNoRows(broker);
}

TEST(Expiry, OfASpilledMessageIsExact) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 30; ++i)
    broker.Publish("orders", std::to_string(i), {.ttl = std::chrono::seconds(i + 1)});
  ASSERT_LT(broker.Queue("orders").resident, 5u);

  for (int i = 0; i < 30; ++i) {
    broker.Advance(1s - 1ms);
    EXPECT_EQ(broker.Queue("orders").ready, 30u - static_cast<unsigned>(i));
    broker.Advance(1ms);
    EXPECT_EQ(broker.Queue("orders").ready, 29u - static_cast<unsigned>(i));
  }
  ExpectNoRows(broker);
}

TEST(Expiry, OfASpilledDelayedMessageIsExact) {
  EngineFixture broker({}, {.window_messages = 2, .chunk_rows = 2});
  for (int i = 0; i < 20; ++i) {
    broker.Publish("orders", std::to_string(i), {.ttl = std::chrono::seconds(i + 1)});
    EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 1h).ok());
  }

  broker.Advance(7s - 1ms);
  EXPECT_EQ(broker.Queue("orders").delayed, 14u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("orders").delayed, 13u);
}

TEST(Expiry, WaitsForTheLeaseAndComesWhenItIsGivenBack) {
  EngineFixture broker;
  broker.Publish("orders", "acked", {.ttl = 10s});
  broker.Publish("orders", "nacked", {.ttl = 10s});
  broker.Publish("orders", "released", {.ttl = 10s});
  broker.Publish("orders", "held to the end", {.ttl = 10s});
  const std::vector<Delivery> held =
      broker.ReceiveMany("orders", {.messages_max = 4, .wait = 0s, .lease = 30s});
  broker.Advance(20s);
  EXPECT_EQ(broker.Queue("orders").leased, 4u);
  EXPECT_EQ(broker.Queue("orders").counters.expired, 0u);

  EXPECT_TRUE(broker.Ack(held.at(0)).ok());
  EXPECT_TRUE(broker.Nack(held.at(1)).ok());
  EXPECT_TRUE(broker.Release(held.at(2)).ok());
  EXPECT_EQ(broker.Queue("orders").counters.expired, 2u);
  broker.Advance(10s);

  EXPECT_EQ(broker.Queue("orders").counters.expired, 3u);
  EXPECT_EQ(broker.Queue("orders").counters.acked, 1u);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  ExpectNoRows(broker);
}

TEST(Expiry, OfAMessageThatWasReturnedInTimeIsExact) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.ttl = 10s});
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 3s).ok());

  broker.Advance(10s - 1ms);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST(Expiry, IsNeverMissedBecauseOfADelivery) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  broker.Publish("orders", "a", {.ttl = 10s});
  broker.Publish("orders", "b");

  broker.Advance(10s);
  broker.Subscribe(session, "orders");

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("b"));
}

TEST(Expiry, OfAnUnreadHintStillKeepsAMessageFromBeingDelivered) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.Publish("orders", "a", {.ttl = 10s});
  broker.PublishMany("orders", 10);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kReads);
  const CallId waiting = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 1min});

  broker.Advance(10s);  // nothing was read in time, not the message, not the hint
  broker.LetGo(EngineFixture::Work::kReads);

  const auto reply = broker.TakeAnswer(waiting);
  EXPECT_EQ(std::get<ReceiveReply>(*reply).messages.at(0).body, "0");
}

TEST(Expiry, IsByTheQueuesTtlWhenTheMessageHasNone) {
  EngineFixture broker({.ttl = 5s});
  broker.Publish("orders", "plain");
  broker.Publish("orders", "shorter", {.ttl = 2s});
  broker.Publish("orders", "longer is cut", {.ttl = 1h});

  broker.Advance(2s);
  EXPECT_EQ(broker.Queue("orders").ready, 2u);
  broker.Advance(3s - 1ms);
  EXPECT_EQ(broker.Queue("orders").ready, 2u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST(Expiry, FollowsTheClockThroughDowntime) {
  EngineFixture broker;
  broker.Publish("orders", "gone", {.ttl = 10s});
  broker.Publish("orders", "there", {.ttl = 2min});

  broker.Restart(/*downtime=*/1min);

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kReady)), ElementsAre("there"));
  broker.Advance(1min - 1ms);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  broker.Advance(1ms);
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST(Expiry, GoesWhereTheQueueSays) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Create("kept", {.expired = Disposal::kDeadLetter, .dead_letter_queue = "dead"}).ok());
  ASSERT_TRUE(broker.Create("parking", {.expired = Disposal::kPark}).ok());
  for (const char* queue : {"orders", "kept", "parking"}) broker.Publish(queue, queue, {.ttl = 1s});

  broker.Advance(1s);

  EXPECT_EQ(broker.Queue("orders").bytes, 0u);
  EXPECT_EQ(broker.Queue("kept").bytes, 0u);
  EXPECT_THAT(broker.Drain("dead"), ElementsAre("kept"));
  EXPECT_THAT(BodiesOf(broker.List("parking", MessageState::kParked)), ElementsAre("parking"));
  broker.Advance(24h * 365);
  EXPECT_EQ(broker.Queue("parking").parked, 1u);  // it has expired; now it waits for a person
}

TEST(Expiry, OfManyAtOnceTakesAsManyReadsAsItNeeds) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 4});
  const int count = 1'000;  // more than there may be reads at a time
  broker.PublishMany("orders", count, {.ttl = 10s});
  broker.PublishMany("orders", 3);

  broker.Advance(10s);

  EXPECT_EQ(broker.Queue("orders").counters.expired, static_cast<unsigned>(count));
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1", "2"));
  ExpectNoRows(broker);
}

TEST(Expiry, HintsOfAPurgedQueueGoWhenTheyAreDue) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10, {.ttl = 10s});
  EXPECT_EQ(broker.Purge("orders"), 10u);
  broker.Publish("orders", "after", {.ttl = 20s});

  broker.Advance(10s);

  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 1u);
  EXPECT_EQ(broker.Queue("orders").counters.expired, 0u);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("after"));
}

TEST(Expiry, HintsOfADeletedQueueGoWhenTheyAreDue) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("mail", 3, {.ttl = 10s});
  const Delivery held = broker.Receive("mail", 1h).value();
  broker.Advance(5s);
  broker.Delete("mail");
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.Publish("mail", "of the new queue", {.ttl = 1h});

  broker.Advance(10s);

  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 1u);
  EXPECT_THAT(broker.Drain("mail"), ElementsAre("of the new queue"));
  EXPECT_EQ(broker.Ack(held).code(), absl::StatusCode::kNotFound);
}

TEST(Expiry, OfALeasedMessageIsRememberedByAPurge) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.ttl = 10s});
  broker.Receive("orders", 1h);
  broker.Advance(20s);  // its hint has come and gone

  broker.Purge("orders");

  ExpectNoRows(broker);
}

TEST(Expiry, MakesALateAckFail) {
  EngineFixture broker({.backoff = 1h});
  broker.Publish("orders", "a", {.ttl = 40s});
  const Delivery held = broker.Receive("orders", 30s).value();

  broker.Advance(40s);

  EXPECT_EQ(broker.Ack(held).code(), absl::StatusCode::kNotFound);
}

TEST(Expiry, WithNothingToDoAsksForNoTurns) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.ttl = 24h});
  broker.Advance(1h);

  EXPECT_GE(broker.next_due(), broker.now() + 59min);  // only the hourly look at idle producers
}

TEST(MassExpiry, OfSpilledMessagesReadsManyAtATime) {
  EngineFixture broker({}, {.window_messages = 200});
  broker.PublishMany("orders", 2'000, {.ttl = 1h});
  broker.Restart();

  broker.Advance(1h);

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  EXPECT_LE(broker.reads_started(), 80u);
}

TEST(MassExpiry, OfMessagesThatHaveMovedFindsThemToo) {
  EngineFixture broker({.attempts_max = 0}, {.window_messages = 200});
  broker.PublishMany("orders", 300, {.ttl = 1h});
  for (const Delivery& delivery : broker.ReceiveMany("orders", {.messages_max = 100})) {
    EXPECT_TRUE(broker.Nack(delivery, 2h).ok());
  }
  broker.Restart();

  broker.Advance(1h);

  EXPECT_EQ(broker.Queue("orders").ready + broker.Queue("orders").delayed, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kLocator), 0u);
}

TEST(MassExpiry, OfPurgedMessagesReadsNone) {
  EngineFixture broker({}, {.window_messages = 200});
  broker.PublishMany("orders", 2'000, {.ttl = 1h});
  broker.Restart();
  EXPECT_EQ(broker.Purge("orders"), 2'000u);

  broker.Advance(1h);

  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  EXPECT_LE(broker.rows_read(), 2'000u);  // the hints
}

}  // namespace
}  // namespace baton
