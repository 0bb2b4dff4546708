// Broker time steps after a wall clock that was set: what is due by the new time is due, what goes on keeps
// its length, and nothing stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "server/engine/clock_steps.h"
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

// Of the life before, which had the right time; this one was a day ahead at first.
TEST(ClockStepBack, LeavesNothingStandingStillThatIsDueByTheNewTime) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 20; ++i) {
    broker.Publish("orders", "mortal", {.ttl = 10h});
    broker.Publish("orders", "delayed", {.delay = 10h});
  }
  broker.Restart(5h);
  broker.StepClock(-5h);

  broker.Advance(10h - 1us);
  EXPECT_EQ(broker.Queue("orders").ready, 20u);
  EXPECT_EQ(broker.Queue("orders").delayed, 20u);
  broker.Advance(1us);

  EXPECT_EQ(broker.Queue("orders").counters.expired, 20u);
  EXPECT_EQ(broker.Receive("orders")->body, "delayed");
}

// In whichever way they wait: a day's error in the time that they were given changes nothing.
class GivenByAWrongTime : public testing::TestWithParam<std::tuple<Duration, size_t, bool>> {
 protected:
  GivenByAWrongTime() {
    for (int i = 0; i < 10; ++i) {
      broker.Publish("orders", "mortal", {.ttl = 10h});
      broker.Publish("orders", "delayed", {.priority = 1, .delay = 10h});
      broker.Publish("orders", "put off", {.priority = 2});
      EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 10h).ok());
    }
    EXPECT_TRUE(broker.Create("limited", {.ttl = Duration(10h)}).ok());
    broker.PublishMany("limited", 10);
    broker.Advance(1h);
  }
  EngineFixture broker{{}, {.window_messages = std::get<1>(GetParam()), .chunk_rows = 2}};
};

TEST_P(GivenByAWrongTime, TtlsAndDelaysKeepTheirLength) {
  broker.StepClock(std::get<0>(GetParam()));
  if (std::get<2>(GetParam())) broker.Restart();

  broker.Advance(9h - 1us);
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
  EXPECT_EQ(broker.Queue("orders").delayed, 20u);
  EXPECT_EQ(broker.Queue("limited").ready, 10u);
  broker.Advance(1us);

  EXPECT_EQ(broker.Queue("orders").counters.expired, 10u);
  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
  EXPECT_EQ(broker.Queue("limited").counters.expired, 10u);
  EXPECT_EQ(broker.Receive("orders")->body, "put off");
  EXPECT_EQ(broker.Drain("orders").size(), 19u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
}

TEST_P(GivenByAWrongTime, AndSetBackAgainToo) {
  broker.StepClock(std::get<0>(GetParam()));
  broker.Advance(1h);
  if (std::get<2>(GetParam())) broker.Restart();
  broker.StepClock(-std::get<0>(GetParam()));

  // What an earlier life has given holds by the time as it is: right again.
  const Duration rest = std::get<2>(GetParam()) ? Duration(8h) + std::get<0>(GetParam()) : Duration(8h);
  if (rest < Duration(0)) return;
  broker.Advance(rest);

  EXPECT_EQ(broker.Queue("limited").ready, 0u);
  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
}

INSTANTIATE_TEST_SUITE_P(, GivenByAWrongTime,
                         testing::Combine(testing::Values(Duration(24h), -Duration(24h), Duration(1s)),
                                          testing::Values(0u, 3u), testing::Bool()));

TEST(ClockSteps, AreOfWhatWasWrittenBefore) {
  ClockSteps steps;
  steps.Add(Seq(10), Seq(20), 24h);
  steps.Add(Seq(10), Seq(30), -1h);
  ClockSteps loaded;
  EXPECT_TRUE(loaded.Load(steps.Encode()).ok());

  EXPECT_EQ(loaded.ShiftOf(Seq(9)), 0s) << "an earlier life";
  EXPECT_EQ(loaded.ShiftOf(Seq(19)), 23h);
  EXPECT_EQ(loaded.ShiftOf(Seq(20)), -1h);
  EXPECT_EQ(loaded.ShiftOf(Seq(30)), 0s);
  EXPECT_EQ(loaded.Meant(kNever, Seq(19)), kNever);
}

TEST(ClockSteps, AreManyAtMost) {
  ClockSteps steps;
  for (uint64_t i = 0; i < 1'000; ++i) steps.Add(Seq(1), Seq(i + 2), 1s);
  ClockSteps loaded;
  EXPECT_TRUE(loaded.Load(steps.Encode()).ok());
  EXPECT_EQ(loaded.ShiftOf(Seq(1)), ClockSteps::kStepsMax * Duration(1s));
}

TEST(ClockSteps, ThatMakeNoSenseAreRefused) {
  ClockSteps steps;
  steps.Add(Seq(10), Seq(20), 24h);
  const std::string row = steps.Encode();
  for (size_t length = 2; length < row.size(); ++length)
    EXPECT_FALSE(ClockSteps().Load(row.substr(0, length)).ok()) << length;
  EXPECT_FALSE(ClockSteps().Load(row.substr(0, row.size() - 8) + std::string(8, '\x7f')).ok());
  EXPECT_FALSE(ClockSteps().Load("").ok());
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
