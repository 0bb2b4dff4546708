// Broker time follows the wall clock when that can be believed, and not before.
#include "server/loop/broker_time.h"

#include <gtest/gtest.h>

#include "storage/format/clock_row.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

int64_t wall = 0;
int64_t boot = 0;
bool synchronized = false;

constexpr int64_t kNoon = 1'700'000'000'000'000;
constexpr Duration kDay = 24h;

class BrokerTimeTest : public testing::Test {
 protected:
  BrokerTimeTest() {
    wall = kNoon;
    boot = 1'000'000;
    synchronized = false;
  }
  static BrokerTime Make(const std::string& boot_id = "boot") {
    return BrokerTime({.wall_micros = [] { return wall; },
                       .boot_micros = [] { return boot; },
                       .is_synchronized = [] { return synchronized; }},
                      boot_id);
  }
  static void SetWall(Duration by) { wall += by.count(); }
  // Both clocks run, and are looked at each second; what was followed meanwhile.
  static Duration Run(BrokerTime& time, Duration length) {
    Duration followed(0);
    for (Duration passed(0); passed < length; passed += 1s) {
      wall += 1'000'000;
      boot += 1'000'000;
      followed += time.CheckWallClock().followed;
    }
    return followed;
  }
  // The machine is off for so long; its next life's clocks.
  static void Reboot(Duration off) {
    wall += off.count();
    boot = 5'000'000;
  }
  static Instant Wall() { return InstantFromMicros(wall); }
};

TEST_F(BrokerTimeTest, OfANewDataDirectoryIsTheWallClock) {
  BrokerTime time = Make();
  EXPECT_FALSE(time.Begin(std::nullopt));
  EXPECT_EQ(time.Now(), Wall());
  EXPECT_EQ(Run(time, 1h), 0s);
  EXPECT_EQ(time.Now(), Wall());
}

TEST_F(BrokerTimeTest, TakesNoNoticeOfAClockThatIsWrongForAMinute) {
  for (const Duration wrong : {kDay, -kDay}) {
    BrokerTime time = Make();
    time.Begin(std::nullopt);
    SetWall(wrong);
    EXPECT_EQ(time.CheckWallClock().jump, wrong);
    EXPECT_EQ(Run(time, 1min), 0s);
    SetWall(-wrong);
    EXPECT_EQ(Run(time, 10min), 0s);
    EXPECT_EQ(time.Now(), Wall());
  }
}

TEST_F(BrokerTimeTest, FollowsAClockThatWasSetAndStaysSo) {
  for (const Duration set : {kDay, -kDay, Duration(1s)}) {
    BrokerTime time = Make();
    time.Begin(std::nullopt);
    const Instant before = time.Now();
    SetWall(set);
    EXPECT_EQ(Run(time, BrokerTime::kFollowAfter), 0s);
    EXPECT_EQ(time.Now(), before + BrokerTime::kFollowAfter);

    EXPECT_EQ(Run(time, 1s), set);

    EXPECT_EQ(time.Now(), Wall());
    EXPECT_EQ(time.gap(), 0s);
  }
}

TEST_F(BrokerTimeTest, FollowsOnlyTheLastOfSeveralSettings) {
  BrokerTime time = Make();
  time.Begin(std::nullopt);
  SetWall(kDay);
  EXPECT_EQ(Run(time, 100s), 0s);
  SetWall(kDay);
  EXPECT_EQ(Run(time, 100s), 0s);
  SetWall(-kDay + 1h);
  EXPECT_EQ(Run(time, 2min + 1s), kDay + 1h);
}

TEST_F(BrokerTimeTest, FollowsASlewedClockInSmallSteps) {
  BrokerTime time = Make();
  time.Begin(std::nullopt);
  for (int i = 0; i < 4'000; ++i) {
    SetWall(500us);
    Run(time, 1s);
    EXPECT_LE(time.gap(), BrokerTime::kJump);
  }
}

TEST_F(BrokerTimeTest, GoesOnOverARestartWhateverTheWallClockSays) {
  BrokerTime first = Make();
  first.Begin(std::nullopt);
  Run(first, 1h);
  const ClockRecord record = *DecodeClock(EncodeClock(first.Record()));
  for (const Duration wrong : {kDay, -kDay}) {
    SetWall(wrong);
    BrokerTime next = Make();

    EXPECT_TRUE(next.Begin(record));

    EXPECT_EQ(next.Now(), first.Now());
    EXPECT_EQ(next.gap(), wrong);
    EXPECT_EQ(Run(next, 1min), 0s);
    SetWall(-wrong);
    EXPECT_EQ(Run(next, 10min), 0s);
  }
}

TEST_F(BrokerTimeTest, AtAStartADayBehindGoesOnFromWhereItWasAndFollowsTheCorrectedClock) {
  BrokerTime first = Make();
  first.Begin(std::nullopt);
  const ClockRecord record = first.Record();
  Reboot(1h);
  SetWall(-kDay);
  BrokerTime next = Make("another boot");

  EXPECT_TRUE(next.Begin(record));
  EXPECT_EQ(next.Now(), record.time);
  EXPECT_EQ(Run(next, 1min), 0s);
  SetWall(kDay);

  EXPECT_EQ(Run(next, 2min + 1s), 1h);
  EXPECT_EQ(next.Now(), Wall());
}

TEST_F(BrokerTimeTest, AtAStartADayAheadIsNotAheadUntilThatHasLasted) {
  BrokerTime first = Make();
  first.Begin(std::nullopt);
  const ClockRecord record = first.Record();
  Reboot(10s);
  SetWall(kDay);
  BrokerTime next = Make("another boot");

  EXPECT_TRUE(next.Begin(record));
  EXPECT_EQ(Run(next, 1min), 0s);
  EXPECT_EQ(next.Now(), record.time + 1min);
  SetWall(-kDay);
  EXPECT_EQ(Run(next, 2min + 1s), 10s);

  EXPECT_EQ(next.Now(), Wall());
}

TEST_F(BrokerTimeTest, AtAStartBelievesAClockThatIsSynchronisedOrNear) {
  BrokerTime first = Make();
  first.Begin(std::nullopt);
  const ClockRecord record = first.Record();
  Reboot(5min);
  BrokerTime near = Make("another boot");
  EXPECT_FALSE(near.Begin(record));
  EXPECT_EQ(near.Now(), Wall());

  Reboot(30 * kDay);
  synchronized = true;
  BrokerTime next = Make("a third boot");
  EXPECT_FALSE(next.Begin(record));
  EXPECT_EQ(next.Now(), Wall());
}

TEST_F(BrokerTimeTest, ThatWasHeldBackFollowsAsSoonAsTheClockIsSynchronised) {
  BrokerTime first = Make();
  first.Begin(std::nullopt);
  const ClockRecord record = first.Record();
  Reboot(kDay);
  BrokerTime next = Make("another boot");
  EXPECT_TRUE(next.Begin(record));
  EXPECT_EQ(Run(next, 5s), 0s);

  synchronized = true;

  EXPECT_EQ(Run(next, 1s), kDay);
}

TEST(ClockRow, OfAnotherVersionOrCutShortIsRefused) {
  const std::string row =
      EncodeClock({.time = InstantFromMicros(kNoon), .offset_micros = -5, .boot_id = "id"});
  EXPECT_EQ(DecodeClock(row)->offset_micros, -5);
  for (size_t length = 0; length < row.size(); ++length)
    EXPECT_FALSE(DecodeClock(row.substr(0, length)).has_value());
  EXPECT_FALSE(DecodeClock("\x02" + row.substr(1)).has_value());
}

}  // namespace
}  // namespace baton
