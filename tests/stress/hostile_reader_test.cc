// Clients that do not take what the broker says, over both carriers: what they are owed is bounded.
#include <memory>
#include <vector>

#include "tests/stress/hostile_ring_fixture.h"
#include "tests/stress/process_facts.h"
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

}  // namespace
}  // namespace baton
