// Clients over rings that are stopped, or killed at any moment: what was confirmed to them is there once and
// whole, what they held comes back, and nothing of them is left.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/stress/hostile_ring_fixture.h"
#include "tests/stress/process_facts.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_body.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Each;
using testing::IsSupersetOf;
using testing::Pair;

class DoomedRingClients : public HostileRing {
 protected:
  DoomedRingClients() {
    v1::QueueConfig config;
    config.set_attempts_max(0);
    config.set_durability(v1::RELAXED);
    broker.CreateQueue("made", config);
    broker.CreateQueue("taken", config);
  }

  std::unique_ptr<ChildProcess> Start(const char* role, const char* queue) {
    const std::string name = "c" + std::to_string(++clients_);
    return std::make_unique<ChildProcess>(
        std::vector<std::string>{BATON_BIN_DIR "/tests/doomed_ring_client", socket_path(), events_path_, name,
                                 role, queue, std::to_string(random())},
        directory_.path() + "/errors");
  }

  // What all clients have written down.
  std::multiset<std::string> Noted(const std::string& what) const {
    std::multiset<std::string> keys;
    std::ifstream file(events_path_);
    std::string word;
    std::string key;
    while (file >> word >> key) {
      if (word == what) keys.insert(key);
    }
    return keys;
  }
  std::string Errors() const {
    std::ostringstream text;
    text << std::ifstream(directory_.path() + "/errors").rdbuf();
    return text.str();
  }

  // Everything of the queue, each key as often as it is there.
  std::map<std::string, int> Drain(const std::string& queue) {
    std::map<std::string, int> found;
    while (broker.GetQueue(queue).counts().ready() > 0 && !HasFailure()) {
      v1::AckRequest ack;
      for (const v1::ReceivedMessage& message : broker.Receive(queue, 20)) {
        const std::string key = KeyOfTestBody(message.body());
        EXPECT_NE(key, "") << "a body of " << message.body().size() << " bytes that is not whole";
        ++found[key];
        ack.add_tokens(message.token());
      }
      v1::SettleResponse response;
      EXPECT_TRUE(broker.broker().Ack(PatientContext().get(), ack, &response).ok());
    }
    return found;
  }

  void PublishToTake(int first, int last, size_t size) {
    std::vector<std::string> bodies;
    for (int i = first; i <= last; ++i) {
      bodies.push_back(MakeTestBody("t" + std::to_string(i), 64 + random() % size));
      if (bodies.size() < 50 && i < last) continue;
      broker.Publish("taken", bodies);
      bodies.clear();
    }
  }

  TemporaryDirectory directory_;
  const std::string events_path_ = directory_.path() + "/events";
  int clients_ = 0;
};

TEST_F(DoomedRingClients, KilledAtAnyMomentLoseNothingAndLeaveNothing) {
  constexpr int kMessages = 3'000;
  constexpr int kRounds = 25;
  PublishToTake(1, kMessages, 3'000);
  const size_t descriptors_before = DescriptorsOf(getpid());
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const auto publisher = Start("publish", "made");
    const auto consumer = Start("consume", "taken");
    ASSERT_EQ(publisher->ReadLine(kPatience), "working") << Errors();
    std::this_thread::sleep_for(std::chrono::microseconds(Upto(random, 20'000)));
    publisher->Signal(SIGKILL);
    consumer->Signal(SIGKILL);
    ASSERT_EQ(publisher->Wait(kPatience), -SIGKILL) << Errors();
    ASSERT_EQ(consumer->Wait(kPatience), -SIGKILL) << Errors();
  }
  Await([this] { return Sessions() == 1; }, "sessions are left");  // the witness's
  Await([&] { return DescriptorsOf(getpid()) <= descriptors_before; }, "descriptors are left");
  Await([this] { return broker.GetQueue("taken").counts().leased() == 0; }, "leases are left");

  const std::map<std::string, int> made = Drain("made");
  EXPECT_THAT(made, Each(Pair(testing::_, 1)));
  for (const std::string& key : Noted("confirmed")) EXPECT_TRUE(made.contains(key)) << key << " is lost";

  const std::map<std::string, int> left = Drain("taken");
  EXPECT_THAT(left, Each(Pair(testing::_, 1)));
  for (const std::string& key : Noted("acked")) EXPECT_FALSE(left.contains(key)) << key << " came again";
  const std::multiset<std::string> acking = Noted("acking");
  for (int i = 1; i <= kMessages; ++i) {
    const std::string key = "t" + std::to_string(i);
    EXPECT_TRUE(left.contains(key) || acking.contains(key)) << key << " is lost";
  }
  std::printf("%d kills: %zu confirmed, %zu found; %zu acked, %zu left\n", 2 * kRounds,
              Noted("confirmed").size(), made.size(), Noted("acked").size(), left.size());
  EXPECT_FALSE(Noted("confirmed").empty());
  EXPECT_FALSE(Noted("acked").empty());
  EXPECT_EQ(Errors(), "");
}

// Long enough that the one who takes nothing is ended; the other has nothing to take, and may stay.
TEST_F(DoomedRingClients, StoppedForTenSecondsHoldUpNobodyAndGoOnAfterwards) {
  PublishToTake(1, 100, 3'000);
  const auto publisher = Start("publish", "made");
  const auto consumer = Start("consume", "taken");
  ASSERT_EQ(publisher->ReadLine(kPatience), "working") << Errors();
  // All of these but every third; what comes next is more than a ring takes.
  Await([this] { return Noted("acked").size() == 67; }, "not all is consumed");
  publisher->Signal(SIGSTOP);
  consumer->Signal(SIGSTOP);
  EXPECT_GT(broker.GetQueue("taken").counts().leased(), 0u);
  PublishToTake(101, 400, 40'000);
  const size_t acked = Noted("acked").size();
  const size_t confirmed = Noted("confirmed").size();

  const auto start = std::chrono::steady_clock::now();
  Await(
      [this] {
        EXPECT_TRUE(witness->SeesLife());
        return broker.GetQueue("taken").counts().leased() == 0;
      },
      "a client that is stopped keeps its leases");
  std::printf(
      "ended after %lld ms\n",
      static_cast<long long>(
          std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start).count()));
  EXPECT_EQ(Noted("acked").size(), acked);

  publisher->Signal(SIGCONT);
  consumer->Signal(SIGCONT);
  Await([&] { return Noted("acked").size() > acked && Noted("confirmed").size() > confirmed; },
        "they do not go on");
  EXPECT_EQ(Errors(), "");
  publisher->Signal(SIGKILL);
  consumer->Signal(SIGKILL);
  EXPECT_TRUE(publisher->Wait(kPatience).has_value());
  EXPECT_TRUE(consumer->Wait(kPatience).has_value());
}

}  // namespace
}  // namespace baton
