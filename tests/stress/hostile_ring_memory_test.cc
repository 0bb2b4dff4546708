// Clients that begin and do not go on, that do not take what they asked for, or that make the broker hold
// much: what they take up is bounded, and they are ended in ten seconds or so.
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/stress/hostile_ring_fixture.h"
#include "tests/stress/process_facts.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Of a budget of 64 MiB; and the rings of up to 150 sessions, in this process twice.
constexpr size_t kGrowthMax = 192u << 20;

// And waits for the answer.
void PublishOne(RingIntruder& client, size_t body_bytes) {
  ASSERT_TRUE(client.Publish("relaxed", 1, {std::string(body_bytes, 'x')}));
  v1::ServerFrame frame;
  while (frame.confirms_size() == 0) ASSERT_TRUE(client.Hear(frame));
}

// `count` of them that have said hello.
std::vector<std::unique_ptr<RingIntruder>> Intruders(const std::string& socket_path, size_t count) {
  std::vector<std::unique_ptr<RingIntruder>> intruders;
  for (size_t i = 0; i < count; ++i) {
    intruders.push_back(std::make_unique<RingIntruder>(socket_path));
    EXPECT_TRUE(intruders.back()->SayHello());
  }
  return intruders;
}

class HostileRingMemory : public HostileRing {
 protected:
  // The most that was taken up since the start, until `done`.
  size_t GrowthUntil(const std::function<bool()>& done, const char* otherwise) {
    size_t most = 0;
    Await(
        [&] {
          most = std::max(most, OccupiedBytes());
          return done();
        },
        otherwise);
    const size_t growth = most - std::min(most, before);
    std::printf("at most %zu MiB more\n", growth >> 20);
    return growth;
  }

  const size_t before = OccupiedBytes();
};

// Some say nothing more, the others go on talking; none takes what it has asked for. Those that come first
// have more than their ring takes; of the others many are given only what does.
TEST_F(HostileRingMemory, RingsThatAreNeverDrainedAreEnded) {
  for (int i = 0; i < 32; ++i) {
    broker.Publish("playground", std::vector<std::string>(16, std::string(64u << 10, 'x')));
  }
  const auto greedy = Intruders(socket_path(), 20);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(greedy[i]->Subscribe(1, "playground", 40));
    Await([&] { return greedy[i]->to_client().writer_waits != 0; }, "its ring has never been full");
  }
  for (size_t i = 2; i < greedy.size(); ++i) {
    ASSERT_TRUE(greedy[i]->Subscribe(1, "playground", kCreditMessagesMax));
  }
  const v1::ClientFrame nothing;
  const size_t growth = GrowthUntil(
      [&] {
        for (size_t i = 0; i < greedy.size(); i += 2) (void)greedy[i]->Say(nothing);
        return greedy[0]->AwaitEnd(milliseconds(5)).has_value() &&
               greedy[1]->AwaitEnd(milliseconds(5)).has_value();
      },
      "clients that take nothing hold their sessions");
  EXPECT_LT(growth, kGrowthMax);
}

TEST_F(HostileRingMemory, FramesThatAreBegunAndNotEndedTakeUpLittle) {
  const auto halves = Intruders(socket_path(), 150);
  for (const auto& intruder : halves) {
    intruder->SayLength(64u << 10);
    intruder->SayBytes(std::string(60'000, 'x'));
  }
  const size_t growth = GrowthUntil([this] { return Sessions() == 1; }, "half a frame holds its session");
  EXPECT_LT(growth, kGrowthMax);
}

// There is room for one of them at a time, and a good one waits in line behind the bad ones.
TEST_F(HostileRingMemory, LargeFramesThatDoNotGoOnMakeWayForThoseThatDo) {
  const auto halves = Intruders(socket_path(), 2);
  for (const auto& intruder : halves) {
    intruder->SayLength(5u << 20);
    intruder->SayBytes(std::string(100'000, 'x'));
  }
  const auto start = steady_clock::now();
  RingIntruder good(socket_path());
  ASSERT_TRUE(good.SayHello());
  PublishOne(good, 4u << 20);
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  std::printf("its turn came after %lld ms\n", static_cast<long long>(took.count()));
  EXPECT_LT(took, kPatience);
}

// One byte now and then is not going on.
TEST_F(HostileRingMemory, LargeFramesThatTrickleAreEnded) {
  RingIntruder slow(socket_path());
  ASSERT_TRUE(slow.SayHello());
  slow.SayLength(5u << 20);
  const auto start = steady_clock::now();
  Await(
      [&] {
        slow.SayBytes("x");
        return slow.AwaitEnd(milliseconds(100)).has_value();
      },
      "a frame that trickles holds its room");
  const auto took = std::chrono::duration_cast<seconds>(steady_clock::now() - start);
  std::printf("ended after %lld s\n", static_cast<long long>(took.count()));
  EXPECT_GE(took, seconds(9));
}

TEST_F(HostileRingMemory, LargeFramesLeaveNothingBehindInSessionsThatGoOn) {
  constexpr size_t kClients = 60;
  const auto clients = Intruders(socket_path(), kClients);
  for (const auto& client : clients) PublishOne(*client, 4u << 20);
  const v1::ClientFrame nothing;
  const auto end = steady_clock::now() + seconds(2);
  const size_t growth = GrowthUntil(
      [&] {
        for (const auto& client : clients) (void)client->Say(nothing);
        return steady_clock::now() > end;
      },
      "");
  EXPECT_LT(growth, kGrowthMax);
}

TEST_F(HostileRingMemory, FramesOfAMillionSmallThingsEndTheirSessionOnly) {
  const std::vector<std::string> things = {{"\x12\0", 2}, {"\x1a\0", 2}, {"\x22\0", 2},
                                           {"\x2a\0", 2}, {"\x32\0", 2}, {"\x1a\x02\x42\0", 4}};
  for (const std::string& thing : things) {
    for (const size_t bytes : {size_t{60'000}, size_t{4u << 20}}) {
      std::string frame;
      while (frame.size() < bytes) frame += thing;
      const auto length = static_cast<uint32_t>(frame.size());
      frame.insert(0, reinterpret_cast<const char*>(&length), sizeof(length));
      RingIntruder intruder(socket_path());
      ASSERT_TRUE(intruder.SayHello());
      const auto start = steady_clock::now();
      std::string_view left = frame;
      const size_t growth = GrowthUntil(
          [&] {
            left.remove_prefix(intruder.SayBytes(left));
            return intruder.IsOver();
          },
          "the session goes on");
      const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
      std::printf("%zu bytes: ended after %lld ms\n", frame.size(), static_cast<long long>(took.count()));
      EXPECT_LT(growth, kGrowthMax);
    }
  }
}

// Small frames that become much larger once they are read, in many sessions that all go on.
TEST_F(HostileRingMemory, FramesOfManySmallThingsLeaveNothingBehindInSessionsThatGoOn) {
  const auto clients = Intruders(socket_path(), 100);
  v1::ClientFrame frame;
  for (int i = 0; i < 8'000; ++i) frame.add_unsubscribe()->set_subscription(1);
  for (const auto& client : clients) {
    ASSERT_TRUE(client->Say(frame));
    PublishOne(*client, 1);  // and all before it is done with
  }
  const v1::ClientFrame nothing;
  const auto end = steady_clock::now() + seconds(2);
  const size_t growth = GrowthUntil(
      [&] {
        for (const auto& client : clients) (void)client->Say(nothing);
        return steady_clock::now() > end;
      },
      "");
  EXPECT_LT(growth, kGrowthMax);
}

}  // namespace
}  // namespace baton
