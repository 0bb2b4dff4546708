// Clients that write nonsense into the memory they share with the broker, or ring without end: they are ended
// at once, and nobody else notices.
#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/stress/hostile_ring_fixture.h"

namespace baton {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Writes at random what `place` gives it, until it is destroyed.
class Vandal {
 public:
  Vandal(uint64_t seed, std::function<void(Random&)> spoil)
      : thread_([this, seed, spoil = std::move(spoil)] {
          Random random(seed);
          while (!stop_) {
            spoil(random);
            for (uint64_t i = Upto(random, 200); i > 0; --i) std::this_thread::yield();
          }
        }) {}
  ~Vandal() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Takes a moment that no clock measures.
void Dawdle(uint64_t steps) {
  std::atomic<uint64_t> left{steps};
  while (left > 0) --left;
}

// Publishes to "relaxed" and waits for the answer; how long that took.
microseconds RoundTrip(RawSession& session, uint64_t sequence) {
  const auto start = steady_clock::now();
  session.Publish("relaxed", sequence, {"x"});
  session.AwaitConfirmed(sequence);
  return std::chrono::duration_cast<microseconds>(steady_clock::now() - start);
}

// ---- Indices.

TEST_F(HostileRing, AWriteIndexThatCannotBeEndsItsSessionAtOnce) {
  const std::vector<std::function<uint64_t(uint64_t tail, uint64_t ring_bytes)>> nonsense = {
      [](uint64_t tail, uint64_t ring_bytes) { return tail + ring_bytes + 1; },
      [](uint64_t tail, uint64_t) { return tail + (uint64_t{1} << 32); },
      [](uint64_t, uint64_t) { return UINT64_MAX; }, [](uint64_t tail, uint64_t) { return tail - 1; },
      [](uint64_t, uint64_t) { return uint64_t{0}; }};
  for (const auto& index : nonsense) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    v1::ServerFrame frame;
    ASSERT_TRUE(intruder.Hear(frame));
    ASSERT_TRUE(intruder.AwaitArmed());
    intruder.to_broker().tail = index(intruder.to_broker().tail, intruder.to_broker_bytes().size());
    intruder.Knock();
    ExpectEndedAtOnce(intruder);
    EXPECT_EQ(intruder.HearGoAway(), reason::kProtocolViolation);
  }
}

// The broker looks at the other side's read index when it needs room.
TEST_F(HostileRing, AReadIndexThatCannotBeEndsItsSessionAtOnce) {
  for (int i = 0; i < 16; ++i) broker.Publish("playground", {std::string(64u << 10, 'x')});
  const std::vector<std::function<uint64_t(uint64_t tail)>> nonsense = {
      [](uint64_t tail) { return tail + 1; }, [](uint64_t) { return UINT64_MAX; },
      [](uint64_t) { return uint64_t{1} << 63; }};
  for (const auto& index : nonsense) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    ASSERT_TRUE(intruder.Subscribe(1, "playground", 100));
    RingIndices& indices = intruder.to_client();
    Await([&] { return indices.writer_waits != 0; }, "the ring has never been full");
    indices.head = index(indices.tail);
    indices.writer_waits = 0;
    intruder.Ring(1);
    ExpectEndedAtOnce(intruder);
  }
}

TEST_F(HostileRing, AReadIndexThatGoesBackEndsItsSessionAtOnce) {
  for (int i = 0; i < 16; ++i) broker.Publish("playground", {std::string(64u << 10, 'x')});
  RingIntruder intruder(socket_path());
  ASSERT_TRUE(intruder.SayHello());
  ASSERT_TRUE(intruder.Subscribe(1, "playground", 100));
  RingIndices& indices = intruder.to_client();
  const uint64_t taken = intruder.to_client_bytes().size() / 4 * 3;
  for (const uint64_t head : {taken, taken - 1}) {
    Await([&] { return indices.writer_waits != 0; }, "the ring has never been full");
    indices.head = head;
    indices.writer_waits = 0;
    intruder.Ring(1);
  }
  ExpectEndedAtOnce(intruder);
}

TEST_F(HostileRing, AnythingRewrittenAtRandomEndsAtMostItsOwnSession) {
  int ended = 0;
  int rounds = 0;
  // How many are ended is a matter of luck: now and then not one of thirty.
  const auto patience_ends = steady_clock::now() + kPatience;
  for (; (rounds < 30 || (ended == 0 && steady_clock::now() < patience_ends)) && !HasFailure(); ++rounds) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    (void)intruder.Subscribe(1, "playground", 50);
    const Vandal vandal(random(), [&](Random& own) {
      const size_t bound = Chance(own, 70) ? size_t{kRingsOffset} : intruder.memory().size();
      const size_t at = Upto(own, bound / 8 - 1) * 8;
      auto* word = reinterpret_cast<std::atomic<uint64_t>*>(intruder.memory().data() + at);
      word->store(Chance(own, 50) ? own() : word->load() + Upto(own, 100) - 50);
    });
    for (uint64_t sequence = 1; sequence <= 200; ++sequence) {
      v1::ClientFrame frame = RandomFrame(random, sequence);
      frame.clear_goodbye();
      const std::string bytes = frame.SerializeAsString();
      const auto length = static_cast<uint32_t>(bytes.size());
      std::string said(reinterpret_cast<const char*>(&length), sizeof(length));
      intruder.SayBytes(said + bytes);
      intruder.Knock();
    }
    ended += intruder.IsOver() ? 1 : 0;
  }
  std::printf("%d of %d sessions were ended\n", ended, rounds);
  EXPECT_GT(ended, 0);
}

// What sleeps may be woken, and what is awake be let sleep: it is the client's own loss.
TEST_F(HostileRing, FlagsFlippedAtRandomHurtOnlyTheirOwnSession) {
  for (int round = 0; round < 5 && !HasFailure(); ++round) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    const Vandal vandal(random(), [&](Random& own) {
      RingIndices& indices = Chance(own, 50) ? intruder.to_broker() : intruder.to_client();
      (Chance(own, 50) ? indices.reader_waits : indices.writer_waits) =
          static_cast<uint32_t>(Chance(own, 50) ? Upto(own, 1) : own());
    });
    for (uint64_t sequence = 1; sequence <= 500; ++sequence) {
      v1::ClientFrame frame;
      frame.add_publish()->set_queue("relaxed");
      frame.mutable_publish(0)->set_first_sequence(sequence);
      frame.mutable_publish(0)->add_body_sizes(0);
      const std::string bytes = frame.SerializeAsString();
      intruder.SayLength(static_cast<uint32_t>(bytes.size()));
      intruder.SayBytes(bytes);
    }
  }
}

// ---- Frames.

TEST_F(HostileRing, ALengthThatIsNotAllowedEndsItsSessionAtOnce) {
  for (const uint32_t length : {UINT32_MAX, uint32_t{1} << 31, uint32_t{5u << 20} + 1}) {
    for (const bool greets : {false, true}) {
      RingIntruder intruder(socket_path());
      if (greets) {
        ASSERT_TRUE(intruder.SayHello());
      }
      intruder.SayLength(length);
      ExpectEndedAtOnce(intruder);
      EXPECT_EQ(intruder.HearGoAway(), reason::kProtocolViolation);
    }
  }
}

TEST_F(HostileRing, FramesOfAnyBytesEndTheirSessionOnly) {
  int ended = 0;
  for (int round = 0; round < 300 && !HasFailure(); ++round) {
    RingIntruder intruder(socket_path());
    if (Chance(random, 70)) (void)intruder.SayHello();
    for (uint64_t frames = 1 + Upto(random, 5); frames > 0; --frames) {
      const std::string frame = SomethingLikeAFrame(random);
      intruder.SayLength(static_cast<uint32_t>(frame.size()));
      intruder.SayBytes(frame);
    }
    if (Chance(random, 50)) continue;  // as one that has gone
    intruder.SayLength(1);
    intruder.SayBytes("\xff");
    ExpectEndedAtOnce(intruder);
    ++ended;
  }
  EXPECT_GT(ended, 0);
}

TEST_F(HostileRing, FramesThatAreChangedWhileTheyAreReadEndTheirSessionOnly) {
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    const Vandal vandal(random(), [&](Random& own) {
      const std::span<char> bytes = intruder.to_broker_bytes();
      const size_t at = Upto(own, bytes.size() - 1);
      std::atomic_ref<char>(bytes[at]).store(static_cast<char>(own()));
    });
    for (uint64_t sequence = 1; sequence <= 100; ++sequence) {
      if (!intruder.Publish("playground", sequence, {std::string(20'000, 'x')})) break;
    }
  }
}

// ---- Bells.

TEST_F(HostileRing, MoreBellsThanAskedForEndTheSessionAtOnce) {
  for (const size_t bells : {size_t{65}, size_t{256}, size_t{100'000}}) {
    RingIntruder intruder(socket_path());
    ASSERT_TRUE(intruder.SayHello());
    ASSERT_TRUE(intruder.AwaitArmed());
    intruder.Ring(bells);
    ExpectEndedAtOnce(intruder);
  }
}

TEST_F(HostileRing, BellsWithNothingBehindThemEndTheSessionAfterAThousandOrSo) {
  RingIntruder intruder(socket_path());
  ASSERT_TRUE(intruder.SayHello());
  int bells = 0;
  while (bells < 5'000 && intruder.AwaitArmed()) {
    intruder.to_broker().reader_waits = 0;
    intruder.Ring(1);
    ++bells;
  }
  EXPECT_GT(bells, 900);
  EXPECT_LT(bells, 1'200);
  EXPECT_EQ(intruder.HearGoAway(), reason::kProtocolViolation);
}

// The broker asks, and finds in the same moment that it need not have: such a bell is due all the same.
TEST_F(HostileRing, AClientThatRingsOnlyWhenItIsAskedToIsNeverEnded) {
  RingIntruder intruder(socket_path());
  ASSERT_TRUE(intruder.SayHello());
  const v1::ClientFrame nothing;
  const auto end = steady_clock::now() + std::chrono::seconds(3);
  uint64_t frames = 0;
  for (; steady_clock::now() < end; ++frames) {
    ASSERT_TRUE(intruder.Say(nothing)) << "after " << frames << " frames";
    Dawdle(Upto(random, 2'000));
    if (frames % 1'000 == 0) {
      ASSERT_FALSE(intruder.IsOver()) << "after " << frames << " frames";
    }
  }
  EXPECT_FALSE(intruder.IsOver()) << "after " << frames << " frames: " << intruder.HearGoAway();
}

// ---- The others.

TEST_F(HostileRing, OthersAreServedAboutAsFastAsBefore) {
  constexpr uint64_t kTrips = 400;
  RawSession session(broker, 77);
  const auto p99 = [&](uint64_t first) {
    std::vector<microseconds> trips;
    for (uint64_t i = 0; i < kTrips; ++i) trips.push_back(RoundTrip(session, first + i));
    std::sort(trips.begin(), trips.end());
    return trips[kTrips * 99 / 100];
  };
  const microseconds before = p99(1);
  std::atomic<bool> stop{false};
  std::atomic<int> violations{0};
  std::thread hostile([&, seed = random()] {
    Random own(seed);
    while (!stop) {
      RingIntruder intruder(socket_path());
      (void)intruder.SayHello();
      if (Chance(own, 50)) intruder.Ring(100);
      if (Chance(own, 50)) intruder.to_broker().tail = own();
      intruder.SayBytes(RandomBytes(own, 1'000));
      intruder.Knock();
      if (intruder.AwaitEnd(milliseconds(20)).has_value()) ++violations;
    }
  });
  const microseconds meanwhile = p99(kTrips + 1);
  stop = true;
  hostile.join();
  std::printf("p99 of a round trip: %lld us alone, %lld us beside %d violators\n",
              static_cast<long long>(before.count()), static_cast<long long>(meanwhile.count()),
              violations.load());
  EXPECT_GT(violations, 0);
  EXPECT_LT(meanwhile, 10 * before + milliseconds(500));
}

}  // namespace
}  // namespace baton
