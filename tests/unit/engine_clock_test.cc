// Broker time steps after a wall clock that was set: what is due by the new time is due, what goes on keeps
// its length, and nothing stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class ClockStep : public testing::TestWithParam<Duration> {
 protected:
  EngineFixture broker{{}, {.window_messages = 3, .chunk_rows = 2}};
};

TEST_P(ClockStep, LeavesLeasesTheirLength) {
  broker.PublishMany("orders", 2);
  const Delivery acked = broker.Receive("orders", 30s).value();
  const Delivery lost = broker.Receive("orders", 30s).value();
  broker.Advance(10s);

  broker.StepClock(GetParam());

  EXPECT_EQ(broker.Queue("orders").leased, 2u);
  EXPECT_EQ(broker.Get(lost.token.id)->lease_end, broker.now() + 20s);
  EXPECT_TRUE(broker.Ack(acked).ok());
  broker.Advance(20s - 1us);
  EXPECT_EQ(broker.Queue("orders").leased, 1u);
  broker.Advance(1us);
  EXPECT_EQ(broker.Queue("orders").leased, 0u);
  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST_P(ClockStep, LeavesWaitsTheirLength) {
  const CallId call = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 30s});
  broker.Advance(10s);

  broker.StepClock(GetParam());

  broker.Advance(20s - 1us);
  EXPECT_FALSE(broker.IsAnswered(call));
  broker.Advance(1us);
  EXPECT_TRUE(broker.IsAnswered(call));
}

TEST_P(ClockStep, GivesNoNumberTwiceAndKeepsTheOrder) {
  broker.Publish("orders", "first");
  broker.StepClock(GetParam());
  broker.Publish("orders", "second");
  broker.StepClock(-GetParam());
  broker.Publish("orders", "third");

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("first", "second", "third"));
}

TEST_P(ClockStep, KeepsTokensGood) {
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders", 1s).value();
  broker.StepClock(GetParam());
  EXPECT_TRUE(broker.Extend(held, 1min).ok());
  broker.Advance(59s);
  EXPECT_TRUE(broker.Ack(held).ok());
}

INSTANTIATE_TEST_SUITE_P(, ClockStep,
                         testing::Values(Duration(24h), -Duration(24h), Duration(700ms), -Duration(700ms)));

// The last life ended at noon; this one was started with a clock a day behind.
TEST(ClockStepForward, MakesDueWhatIs) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 20; ++i) {
    broker.Publish("orders", "mortal", {.ttl = 10h});
    broker.Publish("orders", "delayed", {.delay = 10h});
  }
  broker.Restart(-24h);
  EXPECT_EQ(broker.Queue("orders").ready, 20u);
  EXPECT_EQ(broker.Queue("orders").delayed, 20u);

  broker.StepClock(24h + 10h);

  EXPECT_EQ(broker.Queue("orders").counters.expired, 20u);
  EXPECT_EQ(broker.Queue("orders").ready, 20u);
  EXPECT_EQ(broker.Receive("orders")->body, "delayed");
}

TEST(ClockStepBack, LeavesNothingStandingStillThatIsDueByTheNewTime) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 20; ++i) {
    broker.Publish("orders", "mortal", {.ttl = 10h});
    broker.Publish("orders", "delayed", {.delay = 10h});
  }
  broker.Advance(5h);
  broker.StepClock(-5h);

  broker.Advance(10h - 1us);
  EXPECT_EQ(broker.Queue("orders").ready, 20u);
  EXPECT_EQ(broker.Queue("orders").delayed, 20u);
  broker.Advance(1us);

  EXPECT_EQ(broker.Queue("orders").counters.expired, 20u);
  EXPECT_EQ(broker.Receive("orders")->body, "delayed");
}

TEST(ClockStepBack, AfterMessagesWereWokenLeavesThemReady) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 10; ++i) broker.Publish("orders", std::to_string(i), {.delay = 1h});
  broker.Advance(1h);
  ASSERT_EQ(broker.Queue("orders").ready, 10u);

  broker.StepClock(-24h);

  EXPECT_EQ(broker.Queue("orders").ready, 10u);
  EXPECT_EQ(broker.Drain("orders").size(), 10u);
}

}  // namespace
}  // namespace baton
