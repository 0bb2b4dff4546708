// Attempts are counted, survive, back off, and are used up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine/life_cycle.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(Attempts, AreCountedByNackLeaseEndAndConsumerGoneButNotByRelease) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
  broker.Advance(30s);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  EXPECT_EQ(broker.Take(session).at(0).attempt, 3u);
  broker.Disconnect(session);
  const Delivery fourth = broker.Receive("orders").value();
  EXPECT_EQ(fourth.attempt, 4u);
  EXPECT_TRUE(broker.Release(fourth).ok());

  EXPECT_EQ(broker.Receive("orders")->attempt, 4u);
}

TEST(Attempts, SayWhyTheLastOneFailed) {
  EngineFixture broker({.lease = 30s});
  const MessageId id = broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), std::nullopt, "no such customer").ok());
  EXPECT_EQ(broker.Get(id)->last_reason, "no such customer");
  EXPECT_EQ(broker.Get(id)->attempts, 1u);

  broker.Receive("orders");
  broker.Advance(30s);
  EXPECT_EQ(broker.Get(id)->last_reason, "lease ended");

  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Disconnect(session);
  EXPECT_EQ(broker.Get(id)->last_reason, "consumer gone");
  EXPECT_EQ(broker.Get(id)->attempts, 3u);
}

TEST(Attempts, SurviveARestart) {
  EngineFixture broker;
  const MessageId id = broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), std::nullopt, "why").ok());
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), std::nullopt, "because").ok());

  broker.Restart();

  EXPECT_EQ(broker.Get(id)->attempts, 2u);
  EXPECT_EQ(broker.Get(id)->last_reason, "because");
  EXPECT_EQ(broker.Receive("orders")->attempt, 3u);
}

TEST(Attempts, SurviveBeingOutOfMemory) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  const uint32_t attempts = broker.Receive("orders")->attempt;
  EXPECT_EQ(attempts, 4u);
  broker.PublishMany("orders", 20, {.priority = 1});
  EXPECT_EQ(broker.Drain("orders").size(), 22u);

  broker.Advance(kLeaseDefault);

  EXPECT_EQ(broker.Receive("orders")->attempt, 5u);
}

TEST(Attempts, LeaveNoRowWhenTheMessageIsAcked) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 1u);

  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());

  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 0u);
}

TEST(Attempts, UsedUpParkTheMessageWithoutADeadLetterQueue) {
  EngineFixture broker({.attempts_max = 3});
  const MessageId id = broker.Publish("orders", "a");
  for (int i = 0; i < 3; ++i) {
    const Delivery delivery = broker.Receive("orders").value();
    EXPECT_TRUE(broker.Nack(delivery, std::nullopt, "no").ok());
  }

  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_EQ(broker.Queue("orders").parked, 1u);
  EXPECT_EQ(broker.Get(id)->state, MessageState::kParked);
  EXPECT_EQ(broker.Get(id)->attempts, 3u);
  EXPECT_EQ(broker.Get(id)->last_reason, "attempts used up; last: nack: no");
}

TEST(Attempts, UsedUpDropTheMessageWhenTheQueueSaysSo) {
  EngineFixture broker({.lease = 30s, .attempts_max = 1, .exhausted = Disposal::kDrop});
  broker.Publish("orders", "a");
  broker.Receive("orders");

  broker.Advance(30s);

  const QueueInfo info = broker.Queue("orders");
  EXPECT_EQ(info.ready + info.leased + info.delayed + info.parked + info.bytes, 0u);
  EXPECT_EQ(info.counters.dropped, 1u);
}

TEST(Attempts, AreUnlimitedWhenTheMaximumIsZero) {
  EngineFixture broker({.attempts_max = 0});
  broker.Publish("orders", "a");
  for (uint32_t i = 1; i <= 100; ++i) {
    const Delivery delivery = broker.Receive("orders").value();
    EXPECT_EQ(delivery.attempt, i);
    EXPECT_TRUE(broker.Nack(delivery).ok());
  }
}

TEST(Attempts, AreJudgedByTheMaximumOfTheMoment) {
  EngineFixture broker({.attempts_max = 0});
  broker.Publish("orders", "a");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  ASSERT_TRUE(broker.Update("orders", {.attempts_max = 3}).ok());
  EXPECT_EQ(broker.Queue("orders").ready, 1u);  // not taken away by the change itself

  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST(Backoff, DoublesWithEachAttemptUpToItsMaximum) {
  const QueueConfig config{.backoff = 1s, .backoff_max = 10s};
  EXPECT_EQ(BackoffAfter(1, config), 1s);
  EXPECT_EQ(BackoffAfter(2, config), 2s);
  EXPECT_EQ(BackoffAfter(3, config), 4s);
  EXPECT_EQ(BackoffAfter(4, config), 8s);
  EXPECT_EQ(BackoffAfter(5, config), 10s);
  EXPECT_EQ(BackoffAfter(1'000'000, config), 10s);
}

TEST(Backoff, OfZeroStaysZeroAndTheMaximumCutsTheFirst) {
  EXPECT_EQ(BackoffAfter(1, QueueConfig{}), 0s);
  EXPECT_EQ(BackoffAfter(1'000'000, QueueConfig{}), 0s);
  EXPECT_EQ(BackoffAfter(1, QueueConfig{.backoff = 1h, .backoff_max = 1s}), 1s);
}

TEST(Backoff, OfTenYearsDoesNotOverflow) {
  const QueueConfig config{.backoff = kDelayMax, .backoff_max = kDelayMax};
  EXPECT_EQ(BackoffAfter(1'000'000, config), Duration(kDelayMax));
  const QueueConfig grows{.backoff = 1us, .backoff_max = kDelayMax};
  EXPECT_EQ(BackoffAfter(1'000'000, grows), Duration(kDelayMax));
}

TEST(Backoff, DelaysTheNextAttemptHoweverTheLastOneEnded) {
  EngineFixture broker({.lease = 30s, .backoff = 1s, .backoff_max = 1h});
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  broker.Advance(1s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1ms);

  EXPECT_TRUE(broker.Receive("orders").has_value());
  broker.Advance(30s);  // the lease ends
  broker.Advance(2s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1ms);

  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  EXPECT_EQ(broker.Take(session).size(), 1u);
  broker.Disconnect(session);
  broker.Advance(4s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1ms);
  EXPECT_EQ(broker.Receive("orders")->attempt, 4u);
}

TEST(Backoff, DoesNotHoldBackAReleasedMessage) {
  EngineFixture broker({.backoff = 1h});
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.Release(broker.Receive("orders").value()).ok());

  EXPECT_TRUE(broker.Receive("orders").has_value());
}

}  // namespace
}  // namespace baton
