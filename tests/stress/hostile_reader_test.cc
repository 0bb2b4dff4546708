// Clients that take what the broker says slowly, or not at all, over both carriers: what they are owed is
// bounded, and whoever is too slow is ended; whoever is just slow is not.
#include <memory>
#include <vector>

#include "tests/stress/hostile_ring_fixture.h"
#include "tests/stress/process_facts.h"
#include "tests/stress/slow_link.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Of a budget of 64 MiB; and the rings and streams of 50 sessions, in this process twice.
constexpr size_t kGrowthMax = 192u << 20;
constexpr size_t kSessions = 50;

class HostileReader : public HostileRing {
 protected:
  std::string grpc_path() const { return GrpcSocketPath(broker.runtime_dir()); }

  void FillPlayground() {
    for (int i = 0; i < 8; ++i) {
      broker.Publish("playground", std::vector<std::string>(16, std::string(64u << 10, 'x')));
    }
  }

  // The most that was taken up since the start, until all sessions but the witness's have ended.
  void ExpectEndedWithinBoundedMemory() {
    size_t most = 0;
    Await(
        [&] {
          most = std::max(most, OccupiedBytes());
          return Sessions() == 1;
        },
        "clients that take nothing hold their sessions");
    const size_t growth = most - std::min(most, before);
    std::printf("at most %zu MiB more\n", growth >> 20);
    EXPECT_LT(growth, kGrowthMax);
  }

  const size_t before = OccupiedBytes();
};

// Settlements of as many tags as a frame may name, none of which was ever delivered; `apart`: no two of them
// consecutive, so that they are as many things to be remembered.
v1::ClientFrame SettleNothing(bool apart) {
  if (!apart) return SettleFrame(v1::Settle::ACK, {1, kSettleTagsMax - 1});
  std::vector<uint64_t> tag_pairs;
  for (uint64_t i = 0; i < kSettleTagsMax; ++i) {
    tag_pairs.push_back(2 * i + 1);
    tag_pairs.push_back(0);
  }
  return SettleFrame(v1::Settle::ACK, tag_pairs);
}

TEST_F(HostileReader, FloodsOfRefusalsOverRingsAreBounded) {
  const v1::ClientFrame apart = SettleNothing(true);
  const v1::ClientFrame together = SettleNothing(false);
  std::vector<std::unique_ptr<RingIntruder>> floods;
  for (size_t i = 0; i < kSessions; ++i) {
    floods.push_back(std::make_unique<RingIntruder>(socket_path()));
    ASSERT_TRUE(floods.back()->SayHello());
  }
  for (const auto& flood : floods) {
    (void)flood->Say(apart);
    for (int i = 0; i < 10; ++i) (void)flood->Say(together);
  }
  EXPECT_TRUE(witness->SeesLife());
  ExpectEndedWithinBoundedMemory();
}

TEST_F(HostileReader, FloodsOfRefusalsOverGrpcAreBounded) {
  const v1::ClientFrame apart = SettleNothing(true);
  const v1::ClientFrame together = SettleNothing(false);
  std::vector<std::unique_ptr<HostileSession>> floods;
  for (size_t i = 0; i < kSessions; ++i) {
    floods.push_back(std::make_unique<HostileSession>(NewConnection(broker)));
    ASSERT_TRUE(floods.back()->SayHello());
  }
  for (const auto& flood : floods) {
    (void)flood->Say(apart);
    for (int i = 0; i < 10; ++i) (void)flood->Say(together);
  }
  EXPECT_TRUE(witness->SeesLife());
  ExpectEndedWithinBoundedMemory();
}

// It takes a byte now and then and goes on talking: there is always something that moves.
TEST_F(HostileReader, RingsThatAreDrainedByteByByteAreEnded) {
  FillPlayground();
  RingIntruder slow(socket_path());
  ASSERT_TRUE(slow.SayHello());
  ASSERT_TRUE(slow.Subscribe(1, "playground", kCreditMessagesMax));
  const v1::ClientFrame nothing;
  Await(
      [&] {
        (void)slow.HearSome(1);
        (void)slow.Say(nothing);
        return slow.AwaitEnd(milliseconds(100)).has_value();
      },
      "it keeps its session, and what it is owed, for ever");
}

TEST_F(HostileReader, StreamsThatAreDrainedByteByByteAreEnded) {
  FillPlayground();
  SlowLink link(grpc_path(), 1'000);  // fewer, and it would not even be connected
  HostileSession slow(NewConnection(link.path()));
  ASSERT_TRUE(slow.SayHello());
  ASSERT_TRUE(slow.Subscribe(1, "playground", kCreditMessagesMax));
  Await([this] { return broker.GetQueue("playground").counts().leased() > 0; }, "nothing was delivered");
  Await([this] { return Sessions() == 1; }, "it keeps its session, and what it is owed, for ever");
}

// ---- Slow, and honest. The message takes longer than a client may take that takes nothing.

constexpr size_t kSlowBytesPerTenth = 25u << 10;
constexpr size_t kLargeBytes = 3u << 20;

TEST_F(HostileReader, AnHonestClientOverASlowLinkGetsItsLargeMessage) {
  broker.Publish("playground", {std::string(kLargeBytes, 'x')});
  SlowLink link(grpc_path(), kSlowBytesPerTenth);
  HostileSession slow(NewConnection(link.path()));
  ASSERT_TRUE(slow.SayHello());
  ASSERT_TRUE(slow.Subscribe(1, "playground", 1));
  const auto start = steady_clock::now();
  v1::ServerFrame frame;
  while (frame.deliveries_size() == 0) ASSERT_TRUE(slow.Hear(frame));
  EXPECT_EQ(frame.deliveries(0).bodies().size(), kLargeBytes);
  EXPECT_GT(steady_clock::now() - start, kOutboxStallMax);
  ASSERT_TRUE(slow.Say(SettleFrame(v1::Settle::ACK, {1, 0})));
  while (frame.settled_size() == 0) ASSERT_TRUE(slow.Hear(frame));
  EXPECT_EQ(frame.settled(0).through(), 1u);
}

TEST_F(HostileReader, AnHonestSlowClientOverRingsGetsItsLargeMessage) {
  broker.Publish("playground", {std::string(kLargeBytes, 'x')});
  RingIntruder slow(socket_path());
  ASSERT_TRUE(slow.SayHello());
  ASSERT_TRUE(slow.Subscribe(1, "playground", 1));
  const auto start = steady_clock::now();
  std::optional<v1::ServerFrame> frame;
  while (!frame.has_value() || frame->deliveries_size() == 0) {
    ASSERT_FALSE(slow.AwaitEnd(milliseconds(100)).has_value()) << "it was ended";
    frame = slow.HearSome(kSlowBytesPerTenth);
  }
  EXPECT_EQ(frame->deliveries(0).bodies().size(), kLargeBytes);
  EXPECT_GT(steady_clock::now() - start, kOutboxStallMax);
  ASSERT_TRUE(slow.Say(SettleFrame(v1::Settle::ACK, {1, 0})));
  while (frame->settled_size() == 0) ASSERT_TRUE(slow.Hear(*frame));
  EXPECT_EQ(frame->settled(0).through(), 1u);
}

}  // namespace
}  // namespace baton
