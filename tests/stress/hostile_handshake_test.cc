// Clients that say nothing, half of it, something else, or send descriptors: on the socket, before and after
// there are rings.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "local/handshake.h"
#include "tests/stress/hostile_ring_fixture.h"
#include "tests/stress/process_facts.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr LocalHello kGoodHello{.layout_version_min = kLayoutVersion, .layout_version_max = kLayoutVersion};

std::string_view BytesOf(const LocalHello& hello) {
  return {reinterpret_cast<const char*>(&hello), sizeof(hello)};
}

TEST_F(HostileRing, WhoSaysNothingOrHalfAHelloIsSentAwayAfterASecond) {
  const auto start = steady_clock::now();
  std::vector<Descriptor> guests;
  for (size_t said = 0; said < sizeof(LocalHello); ++said) {
    guests.push_back(ConnectSilently(socket_path()));
    ASSERT_EQ(send(guests.back().get(), &kGoodHello, said, MSG_NOSIGNAL), static_cast<ssize_t>(said));
  }
  for (const Descriptor& guest : guests) EXPECT_TRUE(AwaitClosing(guest.get(), kPatience).has_value());
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  EXPECT_GE(took, seconds(1));
  EXPECT_LT(took, seconds(5));
}

TEST_F(HostileRing, AHelloInManyPiecesIsOne) {
  const Descriptor guest = ConnectSilently(socket_path());
  for (const char byte : BytesOf(kGoodHello)) {
    ASSERT_EQ(send(guest.get(), &byte, 1, MSG_NOSIGNAL), 1);
    std::this_thread::yield();
  }
  LocalWelcome welcome;
  ASSERT_EQ(recv(guest.get(), &welcome, sizeof(welcome), MSG_WAITALL), sizeof(welcome));
  EXPECT_EQ(welcome.code, 0u);
}

TEST_F(HostileRing, AHelloOfAnyBytesIsRefusedInWords) {
  for (int round = 0; round < 100 && !HasFailure(); ++round) {
    LocalHello hello = kGoodHello;
    auto* bytes = reinterpret_cast<char*>(&hello);
    const size_t changed = Upto(random, 15);  // of the magic or the versions
    bytes[changed] = static_cast<char>(bytes[changed] + 1 + Upto(random, 254));
    const Descriptor guest = ConnectSilently(socket_path());
    ASSERT_EQ(send(guest.get(), &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    LocalWelcome welcome;
    ASSERT_EQ(recv(guest.get(), &welcome, sizeof(welcome), MSG_WAITALL), sizeof(welcome));
    EXPECT_EQ(welcome.magic, kWelcomeMagic);
    if (welcome.code == 0) continue;  // versions 1 to many
    EXPECT_EQ(ReasonOf(StatusOf(welcome)), reason::kProtocolViolation);
    EXPECT_TRUE(AwaitClosing(guest.get(), kAtOnce).has_value());
  }
}

// Connects as often as it is sent away, and says nothing.
void BeSilent(const std::string& socket_path, const std::atomic<bool>& stop, std::atomic<int>& guests) {
  std::vector<Descriptor> silent(200);
  while (!stop) {
    for (Descriptor& guest : silent) {
      if (guest && !AwaitClosing(guest.get(), milliseconds(0)).has_value()) continue;
      guest = ConnectSilently(socket_path);
      ++guests;
    }
  }
}

TEST_F(HostileRing, SilentGuestsWithoutEndKeepNobodyOut) {
  std::atomic<bool> stop{false};
  std::atomic<int> guests{0};
  std::vector<std::thread> flood;
  for (int i = 0; i < 4; ++i) flood.emplace_back([&] { BeSilent(socket_path(), stop, guests); });
  Await([&] { return guests > 600; }, "the flood does not come in");
  const auto start = steady_clock::now();
  for (int i = 0; i < 10 && !HasFailure(); ++i)
    Await([this] { return ConnectLocally(socket_path(), 5'000).ok(); }, "nobody else is welcomed");
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  stop = true;
  for (std::thread& thread : flood) thread.join();
  std::printf("10 were welcomed within %lld ms beside %d silent guests\n",
              static_cast<long long>(took.count()), guests.load());
  EXPECT_LT(took, seconds(5)) << "they wait until silent ones have had their second";
}

TEST_F(HostileRing, DescriptorsInAHelloAreClosedAndEndIt) {
  const size_t before = DescriptorsOf(getpid());
  for (const size_t count : {1, 2, 100, 253}) {
    for (const size_t said : {size_t{1}, sizeof(LocalHello)}) {
      const Descriptor guest = ConnectSilently(socket_path());
      ASSERT_TRUE(SendDescriptors(guest.get(), BytesOf(kGoodHello).substr(0, said), count));
      EXPECT_TRUE(AwaitClosing(guest.get(), kAtOnce).has_value());
    }
  }
  Await([&] { return DescriptorsOf(getpid()) <= before; }, "descriptors are left");
}

TEST_F(HostileRing, DescriptorsAfterwardsAreClosedAndEndTheSessionAtOnce) {
  const size_t before = DescriptorsOf(getpid());
  for (const size_t count : {1, 2, 100, 253}) {
    for (const bool greets : {false, true}) {
      RingIntruder intruder(socket_path());
      if (greets) {
        ASSERT_TRUE(intruder.SayHello());
      }
      ASSERT_TRUE(SendDescriptors(intruder.socket(), std::string_view("\0", 1), count));
      ExpectEndedAtOnce(intruder);
    }
  }
  Await([&] { return DescriptorsOf(getpid()) <= before; }, "descriptors are left");
}

// The socket is flooded in every way at once, and closed in the midst of it.
TEST_F(HostileRing, SessionsThatComeAndGoLeaveNoDescriptors) {
  const size_t before = DescriptorsOf(getpid());
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    RingIntruder intruder(socket_path());
    if (Chance(random, 70)) (void)intruder.SayHello();
    if (Chance(random, 30)) (void)intruder.Subscribe(1, "playground", 10);
    if (Chance(random, 30)) intruder.Ring(Upto(random, 300));
    if (Chance(random, 30)) (void)SendDescriptors(intruder.socket(), "x", 1 + Upto(random, 20));
    if (Chance(random, 30)) shutdown(intruder.socket(), static_cast<int>(Upto(random, 2)));
  }
  Await([this] { return Sessions() == 1; }, "sessions are left");  // the witness's
  Await([&] { return DescriptorsOf(getpid()) <= before; }, "descriptors are left");
}

TEST_F(HostileRing, SessionsBeyondItsShareAreRefusedToAProcessInWordsAndTheOthersServed) {
  std::vector<std::unique_ptr<RingIntruder>> sessions;
  while (sessions.size() < kSessionsMax / 2 - 1) {  // the witness has one, in this process too
    sessions.push_back(std::make_unique<RingIntruder>(socket_path()));
    ASSERT_TRUE(sessions.back()->SayHello());
  }
  v1::ServerFrame frame;
  ASSERT_TRUE(sessions.back()->Hear(frame)) << "the last one is counted by now";
  const auto refused = ConnectLocally(socket_path(), 5'000);
  EXPECT_EQ(ReasonOf(refused.status()), reason::kSessionLimit);
  EXPECT_TRUE(witness->SeesLife());
  sessions.clear();
  Await([this] { return ConnectLocally(socket_path(), 5'000).ok(); }, "there is no room again");
}

}  // namespace
}  // namespace baton
