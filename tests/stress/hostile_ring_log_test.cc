// What the operator reads of clients over rings that were not let have their way: one line for each kind and
// user, which says what was done, however often they do it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "local/handshake.h"
#include "tests/stress/ring_intruder.h"
#include "tests/support/broker_process.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

class HostileRingLog : public testing::Test {
 protected:
  static constexpr size_t kSessionsMax = 20;
  static constexpr seconds kPatience{20};

  HostileRingLog() : broker_({.flags = {"--sessions-max", std::to_string(kSessionsMax)}}) {
    EXPECT_EQ(broker_.Start(), "");
  }

  std::string socket_path() const { return broker_.runtime_dir() + "/baton.sock"; }

  std::vector<std::string> LinesWith(std::string_view event) const {
    std::vector<std::string> lines;
    const std::string all = broker_.errors();
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = std::min(all.find('\n', begin), all.size());
      const std::string line = all.substr(begin, end - begin);
      if (line.find(event) != std::string::npos) lines.push_back(line);
      begin = end + 1;
    }
    return lines;
  }

  // Does it until the log has the line, and some times more: there is one line.
  void ExpectOneLine(std::string_view event, std::string_view done, const std::function<void()>& attack) {
    const auto end = steady_clock::now() + kPatience;
    while (LinesWith(event).empty()) {
      ASSERT_LT(steady_clock::now(), end) << "not a word of it: " << event << "\n" << broker_.errors();
      attack();
    }
    for (int i = 0; i < 10; ++i) attack();
    const auto lines = LinesWith(event);
    ASSERT_EQ(lines.size(), 1u) << event;
    EXPECT_THAT(lines[0], HasSubstr("uid="));
    EXPECT_THAT(lines[0], HasSubstr(std::string(done)));
  }

  BrokerProcess broker_;
};

TEST_F(HostileRingLog, TellsOfThoseWhoSayNothing) {
  const Descriptor silent = ConnectSilently(socket_path());
  ExpectOneLine("a local client says no hello", "closed after 1 s",
                [] { std::this_thread::sleep_for(milliseconds(10)); });
}

TEST_F(HostileRingLog, TellsOfMoreSilentOnesThanThereIsRoomFor) {
  std::vector<Descriptor> silent;
  ExpectOneLine("more local clients than there is room for say no hello", "closed the longest silent", [&] {
    for (int i = 0; i < 50; ++i) silent.push_back(ConnectSilently(socket_path()));
  });
}

TEST_F(HostileRingLog, TellsOfThoseWhoSaySomethingElse) {
  ExpectOneLine("a local client says something else than a hello", "refused it", [this] {
    const Descriptor guest = ConnectSilently(socket_path());
    const std::string nonsense(sizeof(LocalHello), 'x');
    send(guest.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL);
    AwaitClosing(guest.get(), kPatience);
  });
}

TEST_F(HostileRingLog, TellsOfAProcessThatHasItsShareOfSessionsAndRefusesItMore) {
  std::vector<std::unique_ptr<RingIntruder>> sessions;
  for (size_t i = 0; i < kSessionsMax / 2; ++i) {
    sessions.push_back(std::make_unique<RingIntruder>(socket_path()));
    ASSERT_TRUE(sessions.back()->SayHello());
  }
  const auto connect = [this] { return ConnectLocally(socket_path(), 10'000); };
  ExpectOneLine("a local client finds no room for its session", "this process has half",
                [&] { EXPECT_EQ(connect().status().code(), absl::StatusCode::kResourceExhausted); });
  sessions.pop_back();
  const auto end = steady_clock::now() + kPatience;
  while (!connect().ok()) ASSERT_LT(steady_clock::now(), end) << "the place of one that has gone";
}

TEST_F(HostileRingLog, TellsOfSessionsThatBreakTheProtocol) {
  ExpectOneLine("a session breaks the protocol", "ended the session: ", [this] {
    RingIntruder client(socket_path());
    ASSERT_TRUE(client.SayHello());
    v1::ClientFrame frame;
    v1::Settle* settle = frame.add_settle();
    settle->set_kind(v1::Settle::ACK);
    settle->add_tags(1);
    settle->add_tags(59'999);
    ASSERT_TRUE(client.Say(frame));
    EXPECT_TRUE(client.AwaitEnd(kPatience).has_value());
  });
}

TEST_F(HostileRingLog, TellsOfSessionsThatSayNothing) {
  const RingIntruder silent(socket_path());
  ExpectOneLine("a session breaks the protocol", "no Hello came within 10 seconds",
                [] { std::this_thread::sleep_for(milliseconds(10)); });
}

TEST_F(HostileRingLog, TellsOfSessionsThatTakeNothing) {
  RingIntruder deaf(socket_path());
  ASSERT_TRUE(deaf.SayHello());
  v1::ClientFrame frame;  // each is answered with a refusal
  for (uint64_t i = 1; i <= kSubscriptionsPerSessionMax; ++i) {
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(i);
    subscribe->set_queue("there-is-none");
    subscribe->set_credit_messages(1);
  }
  while (deaf.to_client().writer_waits == 0 && deaf.Say(frame)) {
  }
  ExpectOneLine("a session breaks the protocol", "for 10 seconds",
                [] { std::this_thread::sleep_for(milliseconds(10)); });
}

TEST_F(HostileRingLog, TellsOfSessionsThatKeepAskingForMuch) {
  v1::ClientFrame frame;
  for (int i = 0; i < 16'384; ++i) frame.add_credit()->set_subscription(4'711);
  RingIntruder client(socket_path());
  ASSERT_TRUE(client.SayHello());
  ExpectOneLine("a session keeps sending frames of thousands of small entries", "it is read in its turn only",
                [&] { ASSERT_TRUE(client.Say(frame)); });
}

}  // namespace
}  // namespace baton
