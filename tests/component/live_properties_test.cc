// Properties of a queue that are changed over a backlog that does not fit into memory, on a real store and in
// shared memory, with kills between and while the broker goes over what waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/check.h"
#include "baton/client.h"
#include "tests/support/broker_process.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kCount = 20'000;

class LiveProperties : public testing::TestWithParam<Durability> {
 protected:
  LiveProperties() {
    EXPECT_EQ(broker.Start(), "");
    EXPECT_TRUE(Connect().CreateQueue("jobs", {.durability = GetParam()}).ok());
    const std::vector<Message> batch(1'000, {.body = std::string(1'000, 'x')});
    for (uint64_t count = 0; count < kCount; count += batch.size())
      EXPECT_TRUE(Connect().Publish("jobs", batch).ok());
    if (GetParam() != Durability::kMemory) KillAndStart();  // nothing of it is in memory
  }
  Client Connect() {
    auto client = Client::Connect({.url = broker.url()});
    BATON_CHECK(client.ok()) << client.status();
    return *std::move(client);
  }
  void KillAndStart() {
    broker.Kill();
    ASSERT_EQ(broker.Start(), "");
  }
  void ChangeTtl(std::chrono::milliseconds ttl) {
    const auto changed = Connect().UpdateQueue("jobs", {.ttl = ttl});
    ASSERT_TRUE(changed.ok()) << changed.status();
  }
  // Or what it has after 20 s.
  uint64_t ReadyWhenItIs(uint64_t wanted, const std::string& queue = "jobs") {
    Client client = Connect();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (true) {
      const uint64_t ready = client.GetQueue(queue)->counts.ready;
      if (ready == wanted || std::chrono::steady_clock::now() > end) return ready;
    }
  }
  BrokerProcess broker{{.flags = {"--memory-budget", "64MiB", "--memory-queue-bytes", "128MiB"}}};
};

TEST_P(LiveProperties, ATtlThatIsChangedHoldsForAllThatWaitsWhateverIsKilled) {
  ChangeTtl(2h);
  KillAndStart();  // while it goes over them
  ChangeTtl(1h);
  KillAndStart();
  ChangeTtl(0s);
  ChangeTtl(30min);
  EXPECT_EQ(Connect().GetQueue("jobs")->counts.ready, kCount);

  ChangeTtl(1ms);
  KillAndStart();

  EXPECT_EQ(ReadyWhenItIs(0), 0u);
  KillAndStart();  // perhaps before the last of it was stored, which then expires again
  EXPECT_EQ(ReadyWhenItIs(0), 0u);
  const auto queue = Connect().GetQueue("jobs");
  EXPECT_EQ(queue->counts.ready + queue->counts.parked + queue->counts.bytes, 0u);
  EXPECT_THAT(broker.errors(), Not(HasSubstr("memory queues begin empty")));
  EXPECT_TRUE(Connect().DeleteQueue("jobs", Client::DeleteMode::kOnlyIfEmpty).ok());
}

TEST_P(LiveProperties, ALimitThatIsLoweredHoldsAtOnceForDeadLettersToo) {
  ASSERT_TRUE(Connect().CreateQueue("dead", {.durability = GetParam()}).ok());
  ASSERT_TRUE(Connect()
                  .UpdateQueue("jobs", {.expired = Disposal::kDeadLetter,
                                        .dead_letter_queue = "dead",
                                        .messages_max = kCount / 2,
                                        .overflow = OverflowPolicy::kDropOldest})
                  .ok());
  EXPECT_EQ(ReadyWhenItIs(kCount / 2), kCount / 2);
  ASSERT_TRUE(
      Connect().UpdateQueue("dead", {.messages_max = 10, .overflow = OverflowPolicy::kDropOldest}).ok());

  ChangeTtl(1ms);

  EXPECT_EQ(ReadyWhenItIs(0), 0u);
  EXPECT_EQ(ReadyWhenItIs(10, "dead"), 10u);
  EXPECT_EQ(Connect().GetQueue("dead")->counts.dropped, kCount / 2 - 10);
  EXPECT_THAT(broker.errors(), HasSubstr("queue dead is full"));
}

// 40 of 4 MiB at once, which is more than twice the broker's memory.
TEST_P(LiveProperties, ALimitInBytesHoldsForLargeDeadLettersThatComeAtOnce) {
  if (GetParam() == Durability::kMemory) GTEST_SKIP() << "they do not fit into shared memory";
  ASSERT_TRUE(
      Connect().CreateQueue("dead", {.bytes_max = 20 << 20, .overflow = OverflowPolicy::kDropOldest}).ok());
  ASSERT_TRUE(
      Connect().CreateQueue("large", {.expired = Disposal::kDeadLetter, .dead_letter_queue = "dead"}).ok());
  const std::vector<Message> one(1, {.body = std::string(4'000'000, 'x')});
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Connect().Publish("large", one).ok());

  ASSERT_TRUE(Connect().UpdateQueue("large", {.ttl = 1ms}).ok());

  EXPECT_EQ(ReadyWhenItIs(0, "large"), 0u);
  EXPECT_EQ(ReadyWhenItIs(5, "dead"), 5u);
  EXPECT_EQ(Connect().GetQueue("dead")->counts.dropped, 35u);
}

INSTANTIATE_TEST_SUITE_P(, LiveProperties, testing::Values(Durability::kDurable, Durability::kMemory),
                         [](const auto& info) {
                           return info.param == Durability::kMemory ? "InSharedMemory" : "OnDisk";
                         });

}  // namespace
}  // namespace baton
