#include "server/loop/rate_limited_log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace baton {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RateLimitedLogTest : public testing::Test {
 protected:
  void Note(std::string_view event, std::string_view peer) {
    log.Note({.event = event, .peer = peer, .done = "refused"}, now);
  }
  std::vector<std::string> Lines() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  steady_clock::time_point now{};
  RateLimitedLog log{[this](const RateLimitedLog::Line& line) {
    lines.push_back(fmt::format("{} {} {} {}", line.event, line.peer, line.done, line.times));
  }};
};

TEST_F(RateLimitedLogTest, TellsTheFirstAtOnceAndTheRestOnceAMinute) {
  for (int i = 0; i < 1'000; ++i) Note("flood", "ipv4:10.0.0.7:4000");
  EXPECT_THAT(Lines(), ElementsAre("flood ipv4:10.0.0.7:4000 refused 1"));
  now += seconds(59);
  Note("flood", "ipv4:10.0.0.7:4000");
  EXPECT_THAT(Lines(), IsEmpty());
  now += seconds(1);
  Note("flood", "ipv4:10.0.0.7:4000");
  EXPECT_THAT(Lines(), ElementsAre("flood ipv4:10.0.0.7:4000 refused 1001"));
}

TEST_F(RateLimitedLogTest, TellsEachKindAndPeerApartButNotAPeersPortsAndProcesses) {
  Note("flood", "ipv4:10.0.0.7:4000");
  Note("flood", "ipv4:10.0.0.7:4001");
  Note("silence", "ipv4:10.0.0.7:4001");
  Note("flood", "ipv4:10.0.0.8:4000");
  Note("flood", "ipv6:%5B::1%5D:4000");
  Note("flood", "ipv6:%5B::1%5D:4001");
  Note("flood", "unix:pid=1,uid=7");
  Note("flood", "unix:pid=2,uid=7");
  Note("flood", "unix:pid=1,uid=8");
  EXPECT_THAT(Lines(),
              ElementsAre("flood ipv4:10.0.0.7:4000 refused 1", "silence ipv4:10.0.0.7:4001 refused 1",
                          "flood ipv4:10.0.0.8:4000 refused 1", "flood ipv6:%5B::1%5D:4000 refused 1",
                          "flood unix:pid=1,uid=7 refused 1", "flood unix:pid=1,uid=8 refused 1"));
}

TEST_F(RateLimitedLogTest, KeepsOnlySoManyPeersApartHoweverManyThereAre) {
  const auto note_from = [this](int host) { Note("flood", fmt::format("ipv4:10.0.0.{}:1", host)); };
  for (int host = 0; host < 10'000; ++host) note_from(host);
  EXPECT_THAT(Lines(), SizeIs(RateLimitedLog::kPeersMax + 1));  // and the others
  now += RateLimitedLog::kInterval;
  for (int host = 20'000; host < 20'100; ++host) note_from(host);  // the old ones are forgotten
  EXPECT_THAT(Lines(), SizeIs(100));
}

}  // namespace
}  // namespace baton
