// The budget is in bytes: it holds whatever the size of messages, however many queues, whoever waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/engine/eviction_index.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr size_t kBudget = 256u << 10;

class LargeMessages : public testing::Test {
 protected:
  static constexpr size_t kBody = 16u << 10;

  void PublishLarge(const std::string& queue, int count, const PublishOptions& options = {}) {
    for (int i = 0; i < count; ++i) broker.Publish(queue, std::string(kBody, 'x'), options);
  }
  uint64_t WindowBytes() {
    const EngineStatus status = broker.Status();
    return status.resident_bytes - status.leased_bytes;
  }
  EngineFixture broker{{}, {.window_bytes = kBudget}};
};

TEST_F(LargeMessages, AreReadAheadByTheirBytesForAConsumerThatHoldsOne) {
  PublishLarge("orders", 100);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 1});

  for (uint64_t tag = 1; tag <= 100; ++tag) {
    ASSERT_EQ(broker.Take(session).size(), 1u);
    ASSERT_LE(WindowBytes(), kBudget);
    broker.SettleTags(session, {{tag, tag}});
  }
}

TEST_F(LargeMessages, OfManyQueuesWithConsumersShareTheBudget) {
  std::vector<SessionId> sessions;
  for (int q = 0; q < 50; ++q) {
    const std::string queue = "q" + std::to_string(q);
    ASSERT_TRUE(broker.Create(queue).ok());
    PublishLarge(queue, 10);
    sessions.push_back(broker.Connect());
    broker.Subscribe(sessions.back(), queue, {.credit_messages = 1});
    ASSERT_LE(WindowBytes(), kBudget);
  }
  for (uint64_t tag = 1; tag <= 10; ++tag) {
    for (const SessionId session : sessions) {
      ASSERT_EQ(broker.Take(session).size(), 1u);
      broker.SettleTags(session, {{tag, tag}});
      ASSERT_LE(WindowBytes(), kBudget);
    }
  }
}

TEST_F(LargeMessages, ThatAreDueSoonShareTheBudget) {
  for (int q = 0; q < 20; ++q) {
    const std::string queue = "q" + std::to_string(q);
    ASSERT_TRUE(broker.Create(queue).ok());
    PublishLarge(queue, 10, {.delay = 500ms});
    ASSERT_LE(WindowBytes(), kBudget);
  }
  broker.Advance(500ms);
  ASSERT_LE(WindowBytes(), kBudget);
  for (int q = 0; q < 20; ++q) EXPECT_EQ(broker.Drain("q" + std::to_string(q)).size(), 10u);
}

TEST_F(LargeMessages, LeaveMemoryForAQueueThatSomebodyWaitsFor) {
  PublishLarge("orders", 100);
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("mail", 1'000);
  broker.Restart();
  PublishLarge("orders", 100, {.priority = 1});  // fill what there is

  EXPECT_EQ(broker.Drain("mail").size(), 1'000u);
  EXPECT_LE(broker.reads_started(), 30u);  // in chunks, in spite of it
}

TEST(EvictionIndex, NamesTheLargestOfTheCheapest) {
  EvictionIndex index;
  using Window = EvictionIndex::Window;
  using Cost = EvictionIndex::Cost;
  std::vector<EvictionPlace> places(4);
  const auto window = [](uint32_t queue) { return Window(QueueId(queue), EvictionIndex::Part::kReady); };
  EXPECT_FALSE(index.Next().has_value());

  index.File(window(1), Cost::kUnused, 100, places[1]);
  index.File(window(2), Cost::kUnused, 1'000, places[2]);
  index.File(window(3), Cost::kUsed, 1'000'000, places[3]);
  EXPECT_EQ(index.Next(), std::pair(window(2), Cost::kUnused));

  index.File(window(2), Cost::kUnused, 10, places[2]);
  EXPECT_EQ(index.Next(), std::pair(window(1), Cost::kUnused));
  index.Remove(window(1), places[1]);
  index.File(window(2), Cost::kUnused, 0, places[2]);
  EXPECT_EQ(index.Next(), std::pair(window(3), Cost::kUsed));
  index.Remove(window(3), places[3]);
  EXPECT_FALSE(index.Next().has_value());
}

}  // namespace
}  // namespace baton
