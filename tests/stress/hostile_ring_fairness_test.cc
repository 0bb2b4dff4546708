// Clients that keep all rules and ask for as much work as they can: the others get their share of the
// broker's time, and of its memory.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/stress/hostile_ring_fixture.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// With ten greedy ones beside, on a machine that is busy with something else. It takes milliseconds; it took
// ten seconds and more when whoever posted most was served most.
constexpr std::chrono::seconds kShareMax{3};

class HostileRingFairness : public HostileRing {
 protected:
  // Until it is destroyed: clients that say frames like `frame` as fast as the broker takes them.
  class Greedy {
   public:
    Greedy(const std::string& socket_path, size_t count, const v1::ClientFrame& frame) {
      for (size_t i = 0; i < count; ++i) {
        threads_.emplace_back([this, socket_path, frame] {
          RingIntruder client(socket_path);
          if (!client.SayHello() || !client.Subscribe(1, "playground", 1)) return;
          while (!stop_ && client.Say(frame)) ++said_;
        });
      }
    }
    ~Greedy() {
      stop_ = true;
      for (std::thread& thread : threads_) thread.join();
    }
    size_t said() const { return said_; }

   private:
    std::atomic<bool> stop_{false};
    std::atomic<size_t> said_{0};
    std::vector<std::thread> threads_;
  };

  // The longest that a publish took to be confirmed, of a hundred.
  milliseconds SlowestTrip() {
    RawSession session(broker, 77);
    milliseconds slowest{0};
    for (uint64_t sequence = 1; sequence <= 100; ++sequence) {
      const auto start = steady_clock::now();
      session.Publish("relaxed", sequence, {"x"});
      session.AwaitConfirmed(sequence);
      slowest = std::max(slowest, std::chrono::duration_cast<milliseconds>(steady_clock::now() - start));
    }
    return slowest;
  }

  void ExpectOthersAreServedBeside(const v1::ClientFrame& frame) {
    const Greedy greedy(socket_path(), 10, frame);
    Await([&] { return greedy.said() >= 20; }, "the greedy ones are not served at all");
    const milliseconds slowest = SlowestTrip();
    std::printf("the slowest of 100 took %lld ms, beside %zu frames\n",
                static_cast<long long>(slowest.count()), greedy.said());
    EXPECT_LT(slowest, kShareMax);
  }
};

TEST_F(HostileRingFairness, ThousandsOfCreditsInEachFrameHoldUpNobodyElse) {
  v1::ClientFrame frame;
  for (int i = 0; i < 16'384; ++i) frame.add_credit()->set_subscription(1);
  ExpectOthersAreServedBeside(frame);
}

TEST_F(HostileRingFairness, ThousandsOfCreditsForNoSubscriptionHoldUpNobodyElse) {
  v1::ClientFrame frame;
  for (int i = 0; i < 16'384; ++i) frame.add_credit()->set_subscription(4'711);
  ExpectOthersAreServedBeside(frame);
}

TEST_F(HostileRingFairness, SubscriptionsThatComeAndGoHoldUpNobodyElse) {
  v1::ClientFrame frame;
  for (uint64_t i = 0; i < 500; ++i) {
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(100 + i);
    subscribe->set_queue("playground");
    subscribe->set_credit_messages(1);
    frame.add_unsubscribe()->set_subscription(100 + i);
  }
  v1::ServerFrame heard;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&, path = socket_path()] {
      RingIntruder client(path);
      v1::ServerFrame reply;
      if (!client.SayHello()) return;
      while (!stop && client.Say(frame) && client.Hear(reply)) {
      }
    });
  }
  const milliseconds slowest = SlowestTrip();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("the slowest of 100 took %lld ms\n", static_cast<long long>(slowest.count()));
  EXPECT_LT(slowest, kShareMax);
}

TEST_F(HostileRingFairness, EmptyFramesHoldUpNobodyElse) { ExpectOthersAreServedBeside(v1::ClientFrame()); }

TEST_F(HostileRingFairness, TagsThatWereNeverDeliveredEndTheirSession) {
  RingIntruder client(socket_path());
  ASSERT_TRUE(client.SayHello());
  v1::ClientFrame frame;
  v1::Settle* settle = frame.add_settle();
  settle->set_kind(v1::Settle::ACK);
  settle->add_tags(1);
  settle->add_tags(59'999);
  ASSERT_TRUE(client.Say(frame));
  ExpectEndedAtOnce(client);
  EXPECT_EQ(client.HearGoAway(), reason::kProtocolViolation);
}

// A hundred that announce the largest frame, and bring a little of it now and then.
TEST_F(HostileRingFairness, LargeFramesThatAreOnlyAnnouncedKeepNobodyWaiting) {
  std::vector<std::unique_ptr<RingIntruder>> announcers;
  for (int i = 0; i < 100; ++i) {
    announcers.push_back(std::make_unique<RingIntruder>(socket_path()));
    ASSERT_TRUE(announcers.back()->SayHello());
    announcers.back()->SayLength(5u << 20);
    announcers.back()->SayBytes(std::string(4'096, 'x'));
  }
  RawSession honest(broker, 77);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    for (const auto& announcer : announcers) announcer->SayBytes(std::string(4'096, 'x'));
    const auto start = steady_clock::now();
    honest.Publish("relaxed", sequence, {std::string(1u << 20, 'y')});
    honest.AwaitConfirmed(sequence);
    EXPECT_LT(steady_clock::now() - start, kShareMax);
  }
}

}  // namespace
}  // namespace baton
