// Tokens: good until the message is delivered again, moved, expired or gone; any other changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

void ExpectRefused(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(ReasonOf(status), reason::kLeaseLost) << status;
}

void ExpectGone(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(ReasonOf(status), reason::kMessageNotFound) << status;
}

TEST(Token, OfALeaseThatEndedStillAcksWhatNobodyElseHas) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);

  EXPECT_TRUE(broker.Ack(held).ok());

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kReady), 0u);
}

TEST(Token, OfALeaseThatEndedStillAcksWhatWaitsForItsBackoff) {
  EngineFixture broker({.lease = 30s, .backoff = 1h});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("orders").delayed, 1u);

  EXPECT_TRUE(broker.Ack(held).ok());

  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
}

TEST(Token, OfALeaseThatEndedStillAcksWhatIsOnDisk) {
  EngineFixture broker({.lease = 30s}, {.window_messages = 3, .chunk_rows = 2});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);
  broker.PublishMany("orders", 20, {.priority = 1});

  EXPECT_TRUE(broker.Ack(held).ok());

  EXPECT_EQ(broker.Drain("orders").size(), 20u);
}

TEST(Token, OfALeaseThatEndedMayDeadLetter) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);

  EXPECT_TRUE(broker.DeadLetter(held).ok());

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST(Token, OfALeaseThatEndedHasNothingToRelease) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);

  EXPECT_TRUE(broker.Release(held).ok());

  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Token, IsRefusedOnceTheMessageIsDeliveredAgain) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery first = broker.Receive("orders").value();
  broker.Advance(30s);
  const Delivery second = broker.Receive("orders").value();

  ExpectRefused(broker.Ack(first));
  ExpectRefused(broker.Nack(first));
  ExpectRefused(broker.Release(first));
  ExpectRefused(broker.Extend(first, 1h));
  ExpectRefused(broker.DeadLetter(first));

  EXPECT_EQ(broker.Queue("orders").leased, 1u);
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Token, IsRefusedThoughTheSecondDeliveryEndedToo) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery first = broker.Receive("orders").value();
  broker.Advance(30s);
  const Delivery second = broker.Receive("orders").value();
  broker.Advance(30s);

  ExpectRefused(broker.Ack(first));
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Token, IsUsedUpByAnAck) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  EXPECT_TRUE(broker.Ack(held).ok());

  ExpectGone(broker.Ack(held));
  ExpectGone(broker.Nack(held));
  ExpectGone(broker.Release(held));
  ExpectGone(broker.Extend(held, 1h));
}

TEST(Token, TwiceInOneCallIsAnsweredEachForItself) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();

  const auto reply = broker.Ask<SettleReply>(
      SettleTokens{.call = {}, .settlement = {}, .tokens = {held.token, held.token, std::nullopt}});

  EXPECT_TRUE(reply->results.at(0).ok());
  ExpectGone(reply->results.at(1));
  EXPECT_EQ(ReasonOf(reply->results.at(2)), reason::kTokenInvalid);
}

TEST(Token, OfAReleasedMessageIsWorthNothing) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  EXPECT_TRUE(broker.Release(held).ok());

  ExpectRefused(broker.Ack(held));

  EXPECT_EQ(broker.Queue("orders").ready, 1u);
}

TEST(Token, OfAReleasedMessageIsWorthNothingAlsoWhenTheNextLeaseOfTheSameAttemptHasEnded) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery released = broker.Receive("orders").value();
  EXPECT_TRUE(broker.Release(released).ok());
  const Delivery lapsed = broker.Receive("orders").value();
  ASSERT_EQ(lapsed.attempt, released.attempt);
  broker.Advance(30s);

  ExpectRefused(broker.Ack(released));
  EXPECT_TRUE(broker.Ack(lapsed).ok());
}

TEST(Token, OfALeaseThatEndedStillNacksWithItsDelayAndReason) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s);

  EXPECT_TRUE(broker.Nack(lapsed, 60s, "card declined").ok());

  EXPECT_EQ(broker.Queue("orders").delayed, 1u);
  EXPECT_EQ(broker.Get(lapsed.token.id)->last_reason, "card declined");
  EXPECT_EQ(broker.Get(lapsed.token.id)->attempts, 1u);
  EXPECT_EQ(broker.Queue("orders").counters.returned, 1u);
  broker.Advance(60s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Restart();
  EXPECT_EQ(broker.Get(lapsed.token.id)->last_reason, "card declined");
  broker.Advance(1ms);
  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Token, OfALeaseThatEndedNacksAlsoWhereOnlyTheDiskHoldsTheMessage) {
  EngineFixture broker({.lease = 30s, .backoff = 1h}, {.window_messages = 2, .chunk_rows = 2});
  broker.PublishMany("orders", 10, {.delay = 3h});
  broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s);  // it waits for an hour now, and the window is full of others
  broker.PublishMany("orders", 10);

  EXPECT_TRUE(broker.Nack(lapsed, 10s, "busy").ok());
  broker.Advance(10s);

  EXPECT_EQ(broker.Get(lapsed.token.id)->state, MessageState::kReady);
  EXPECT_EQ(broker.Get(lapsed.token.id)->last_reason, "busy");
  EXPECT_EQ(broker.Drain("orders").size(), 11u);
  broker.Advance(3h);
  EXPECT_EQ(broker.Drain("orders").size(), 10u);
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(Token, OfALeaseThatEndedNacksWithoutADelayAndLeavesTheBackoff) {
  EngineFixture broker({.lease = 30s, .backoff = 1h});
  broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s + 1min);

  EXPECT_TRUE(broker.Nack(lapsed, std::nullopt, "busy").ok());

  EXPECT_EQ(broker.Get(lapsed.token.id)->last_reason, "busy");
  EXPECT_EQ(broker.Get(lapsed.token.id)->due, broker.now() + 59min);
}

TEST(Token, OfALeaseThatEndedNacksWithNoDelayAndEndsTheBackoff) {
  EngineFixture broker({.lease = 30s, .backoff = 1h});
  broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s);

  EXPECT_TRUE(broker.Nack(lapsed, 0s).ok());

  broker.Restart();
  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Token, OfALeaseThatEndedCannotNackWhatWasDeliveredAgain) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s);
  const Delivery second = broker.Receive("orders").value();

  ExpectRefused(broker.Nack(lapsed, 60s, "late"));

  EXPECT_EQ(broker.Queue("orders").leased, 1u);
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Token, OfAPurgedMessageIsNotFound) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const Delivery leased = broker.Receive("orders").value();
  broker.Purge("orders");

  ExpectGone(broker.Ack(leased));

  EXPECT_EQ(broker.Queue("orders").counters.acked, 0u);
}

TEST(Token, OfADeletedQueueIsNotFound) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.Publish("mail", "a");
  const Delivery held = broker.Receive("mail").value();
  broker.Delete("mail");
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.Publish("mail", "a");

  ExpectGone(broker.Ack(held));
}

TEST(Token, OfAMovedMessageIsRefused) {
  EngineFixture broker({.attempts_max = 1});
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = "dead"}).ok());
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders", 30s).value();
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("dead").ready, 1u);

  ExpectRefused(broker.Ack(held));

  broker.Receive("dead", 1s);
  broker.Advance(1s);  // now one attempt has ended there, too
  ExpectRefused(broker.Ack(held));
  EXPECT_EQ(broker.Queue("dead").ready, 1u);
}

TEST(Token, OfTheLifeBeforeAcks) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();

  broker.Restart();

  EXPECT_TRUE(broker.Ack(held).ok());
  EXPECT_FALSE(broker.Receive("orders").has_value());
}

TEST(Token, OfTheLifeBeforeNacksAndCountsTheAttempt) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  const Delivery held = broker.Receive("orders").value();

  broker.Restart();

  EXPECT_TRUE(broker.Nack(held, std::nullopt, "late").ok());
  EXPECT_EQ(broker.Get(held.token.id)->attempts, 2u);
  EXPECT_EQ(broker.Receive("orders")->attempt, 3u);
}

TEST(Token, OfTheLifeBeforeCannotBeExtended) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();

  broker.Restart();

  ExpectRefused(broker.Extend(held, 30s));
  EXPECT_TRUE(broker.Release(held).ok());
}

TEST(Token, OfTheLifeBeforeIsRefusedAlsoWhenTheDeliveryInThisOneWasReleased) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery before = broker.Receive("orders").value();
  broker.Restart();
  EXPECT_TRUE(broker.Release(broker.Receive("orders").value()).ok());

  ExpectRefused(broker.Ack(before));
}

TEST(Token, OfTheLifeBeforeIsRefusedOnceTheMessageIsDeliveredInThisOne) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery before = broker.Receive("orders").value();
  broker.Restart();
  const Delivery now = broker.Receive("orders").value();

  ExpectRefused(broker.Ack(before));
  broker.Advance(30s);
  ExpectRefused(broker.Ack(before));

  EXPECT_TRUE(broker.Ack(now).ok());
}

TEST(Token, OfAnEarlierAttemptOfTheLifeBeforeIsRefused) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery first = broker.Receive("orders").value();
  broker.Advance(30s);

  broker.Restart();

  ExpectRefused(broker.Ack(first));  // its attempt has ended: the stored attempts tell
}

TEST(Token, OfTwoLivesBeforeIsRefused) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery first = broker.Receive("orders").value();
  broker.Restart();
  const Delivery second = broker.Receive("orders").value();  // attempt 1 again: nobody knows of the first
  broker.Restart();

  ExpectRefused(broker.Nack(first));
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Token, OfALostMessageIsNotFoundAndItsNumberIsNeverGivenAgain) {
  EngineFixture broker;
  broker.Hold(EngineFixture::Work::kWrites);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.PublishBatch(session, "orders", 1, {"delivered before it was written"});
  const Delivery held = broker.Take(session).at(0);
  broker.Restart();
  broker.LetGo(EngineFixture::Work::kWrites);
  const MessageId next = broker.Publish("orders", "another");

  ExpectGone(broker.Ack(held));
  EXPECT_NE(next.seq, held.token.id.seq);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("another"));
}

TEST(Token, MadeUpIsRefusedAndNothingHappens) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  LeaseToken other_delivery = held.token;
  other_delivery.delivery = DeliveryNumber(held.token.delivery.value() + 1);
  LeaseToken other_epoch = held.token;
  other_epoch.epoch = Epoch(broker.epoch().value() + 1);
  LeaseToken other_seq = held.token;
  other_seq.id.seq = Seq(held.token.id.seq.value() + 100);
  LeaseToken other_place = held.token;
  other_place.id.place += 1;

  EXPECT_EQ(ReasonOf(broker.Settle(other_delivery, {})), reason::kTokenInvalid);
  EXPECT_EQ(ReasonOf(broker.Settle(other_epoch, {})), reason::kTokenInvalid);
  ExpectGone(broker.Settle(other_seq, {}));
  ExpectGone(broker.Settle(other_place, {}));

  EXPECT_EQ(broker.Queue("orders").leased, 1u);
  EXPECT_TRUE(broker.Ack(held).ok());
}

// A range that ends where numbers do is a range like any other.
TEST(Tags, UpToTheLargestNumberWereNeverDelivered) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  broker.SettleTags(session,
                    {{.first = kLargest - 1, .last = kLargest}, {.first = kLargest, .last = kLargest}});
  ASSERT_TRUE(broker.Log(session).end.has_value());
  EXPECT_EQ(ReasonOf(*broker.Log(session).end), reason::kProtocolViolation);
}

TEST(Token, WithAMadeUpPlaceOfBirthFindsNothing) {
  EngineFixture broker({}, {.window_messages = 2, .chunk_rows = 2});
  broker.PublishMany("orders", 20);
  const MessageId spilled = broker.Publish("orders", "a");
  LeaseToken token{.epoch = broker.epoch(), .delivery = DeliveryNumber(0), .attempt = 1, .id = spilled};
  token.id.place += 1;
  ExpectGone(broker.Settle(token, {}));
  token.id.birth = MessageId::Birth::kDelayed;
  ExpectGone(broker.Settle(token, {}));
  token.id.queue = QueueId(12345);
  ExpectGone(broker.Settle(token, {}));
  token.id.lane = 77;
  ExpectGone(broker.Settle(token, {}));

  token.id = spilled;
  ExpectRefused(broker.Settle(token, {}));  // found, yet never delivered
}

}  // namespace
}  // namespace baton
