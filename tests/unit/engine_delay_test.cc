// Delay: at publish and at nack; any length, durable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Delay, HoldsAMessageBackToTheMillisecond) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.delay = 10s});
  EXPECT_EQ(broker.Queue("orders").delayed, 1u);

  broker.Advance(10s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
  EXPECT_EQ(broker.Receive("orders")->body, "a");
}

TEST(Delay, MayBeTenYears) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.delay = kDelayMax});

  broker.Advance(kDelayMax - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1ms);

  EXPECT_TRUE(broker.Receive("orders").has_value());
}

TEST(Delay, WakesASubscriber) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Publish("orders", "a", {.delay = 5s});

  broker.Advance(5s - 1us);
  EXPECT_THAT(broker.Take(session), IsEmpty());
  broker.Advance(1us);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
}

TEST(Delay, OfManyMessagesEndsInTheOrderTheyAreDue) {
  EngineFixture broker({}, {.window_messages = 4, .chunk_rows = 2});
  for (int i = 0; i < 50; ++i)
    broker.Publish("orders", std::to_string(i), {.delay = std::chrono::seconds(1 + i * 7 % 50)});
  EXPECT_LT(broker.Queue("orders").resident, 10u);

  for (int second = 1; second <= 50; ++second) {
    broker.Advance(1s);
    const Delivery delivery = broker.Receive("orders").value();
    EXPECT_EQ(1 + std::stoi(delivery.body) * 7 % 50, second);
    EXPECT_TRUE(broker.Ack(delivery).ok());
    EXPECT_FALSE(broker.Receive("orders").has_value());
  }
}

void ExpectNeverDeliverable(const PublishResult& result, const std::string& whose) {
  EXPECT_EQ(result.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(result.status), reason::kNeverDeliverable);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr(whose));
}

TEST(Delay, ThatReachesTheTtlIsRefused) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("short", {.ttl = 10s}).ok());

  ExpectNeverDeliverable(broker.TryPublish("orders", "a", {.ttl = 10s, .delay = 10s}), "its own TTL");
  ExpectNeverDeliverable(broker.TryPublish("short", "a", {.delay = 11s}), "the TTL of queue short");
  ExpectNeverDeliverable(broker.TryPublish("short", "a", {.ttl = 1h, .delay = 10s}),
                         "the TTL of queue short");
  EXPECT_TRUE(broker.TryPublish("orders", "a", {.ttl = 10s, .delay = 10s - 1ms}).status.ok());
  EXPECT_TRUE(broker.TryPublish("short", "a", {.delay = 9s}).status.ok());

  EXPECT_EQ(broker.Queue("orders").delayed, 1u);
  EXPECT_EQ(broker.Queue("short").delayed, 1u);
}

TEST(Delay, ThatReachesTheTtlIsRefusedInABatchForThatMessageAlone) {
  EngineFixture broker;
  const SessionId session = broker.Connect(ProducerId(7));
  std::vector<NewMessage> messages(3);
  for (NewMessage& message : messages) message.body = "a";
  messages[1].ttl = messages[1].delay = 1s;

  broker.Send(Publish{.session = session,
                      .call = {},
                      .queue = "orders",
                      .producer = {},
                      .first_sequence = 1,
                      .want_ids = false,
                      .messages = messages});

  const ConfirmRun& run = broker.Log(session).confirms.at(0);
  ASSERT_EQ(run.failures.size(), 1u);
  EXPECT_EQ(run.failures.at(0).sequence, 2u);
  EXPECT_EQ(ReasonOf(run.failures.at(0).status), reason::kNeverDeliverable);
  EXPECT_EQ(broker.Queue("orders").ready, 2u);
}

TEST(Delay, OfWhatWasStoredBeforeIsADuplicateAlsoWhenTheTtlIsShorterNow) {
  EngineFixture broker;
  const PublishOptions options{.delay = 1min, .producer = ProducerId(7), .sequence = 1};
  ASSERT_TRUE(broker.TryPublish("orders", "a", options).status.ok());
  ASSERT_TRUE(broker.Update("orders", {.ttl = 10s}).ok());

  const PublishResult again = broker.TryPublish("orders", "a", options);

  EXPECT_TRUE(again.status.ok());
  EXPECT_TRUE(again.duplicate);
}

TEST(Delay, SurvivesARestartAndGoesOnWhileTheBrokerIsDown) {
  EngineFixture broker;
  broker.Publish("orders", "soon", {.delay = 10s});
  broker.Publish("orders", "later", {.delay = 100s});

  broker.Restart(/*downtime=*/60s);

  EXPECT_EQ(broker.Queue("orders").delayed, 1u);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("soon"));
  broker.Advance(40s - 1ms);
  EXPECT_THAT(broker.Drain("orders"), IsEmpty());
  broker.Advance(1ms);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("later"));
}

TEST(Delay, AfterANackIsWhatTheConsumerSaid) {
  EngineFixture broker({.backoff = 1h});
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 250ms).ok());
  EXPECT_EQ(broker.Queue("orders").delayed, 1u);
  broker.Advance(250ms - 1us);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1us);

  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Delay, OfZeroAfterANackSkipsTheBackoff) {
  EngineFixture broker({.backoff = 1h});
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 0ms).ok());

  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Delay, AfterANackSurvivesARestart) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 10s, "not yet").ok());

  broker.Restart();

  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(10s);
  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Delay, AgainAndAgainLeavesNothingBehind) {
  EngineFixture broker({.attempts_max = 0});
  broker.Publish("orders", "a", {.delay = 1s});
  for (int i = 0; i < 20; ++i) {
    broker.Advance(1s);
    EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 1s).ok());
  }
  broker.Advance(1s);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a"));

  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(Delay, EndsOnTimeThoughEarlierOnesWerePublishedLater) {
  EngineFixture broker({}, {.window_messages = 2, .chunk_rows = 2});
  for (int i = 20; i > 0; --i)
    broker.Publish("orders", std::to_string(i), {.delay = std::chrono::seconds(i)});

  for (int i = 1; i <= 20; ++i) {
    broker.Advance(1s);
    EXPECT_THAT(broker.Drain("orders"), ElementsAre(std::to_string(i)));
  }
}

TEST(Delay, ThatEndsSoonIsNotReadAndGivenUpOverAndOver) {
  EngineFixture broker({}, {.window_messages = 1, .chunk_rows = 3});
  for (const Duration delay : {Duration(400ms), Duration(700ms), Duration(900ms), Duration(5s)})
    broker.Publish("orders", std::string(500, 'x'), {.delay = delay});

  broker.Restart();

  EXPECT_LE(broker.reads_started(), 4u);
  broker.Advance(1s);
  EXPECT_THAT(broker.Drain("orders"), testing::SizeIs(3));
}

TEST(Delay, DueWhileAReadOfTheDelayedOnesIsOnItsWayIsNotLost) {
  EngineFixture broker({}, {.window_messages = 2, .chunk_rows = 2});
  for (int i = 1; i <= 6; ++i)
    broker.Publish("orders", std::to_string(i), {.delay = std::chrono::seconds(10 * i)});
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  broker.Advance(9s);  // the read-ahead starts, and does not come back
  broker.Publish("orders", "between", {.delay = 1s});
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("orders").ready + broker.Queue("orders").delayed, 7u);

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_THAT(broker.Drain("orders"), testing::UnorderedElementsAre("1", "2", "3", "between"));
  broker.Advance(1min);
  EXPECT_THAT(broker.Drain("orders"), testing::UnorderedElementsAre("4", "5", "6"));
}

}  // namespace
}  // namespace baton
