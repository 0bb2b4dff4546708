// Counters: every message comes to a queue in one way and leaves it in one way, and each way has a counter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

class Counters : public testing::Test {
 protected:
  // What came is what left and what is there; of the queues that are named.
  void ExpectBalance() {
    for (const char* name : {"orders", "dead"}) {
      const QueueInfo queue = broker.Queue(name);
      EXPECT_EQ(queue.counters.came(),
                queue.counters.left() + queue.ready + queue.leased + queue.delayed + queue.parked)
          << name;
    }
  }
  QueueCounters Of(const std::string& queue) { return broker.Queue(queue).counters; }

  EngineFixture broker;
};

TEST_F(Counters, TellHowMessagesCameAndLeft) {
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.attempts_max = 1, .dead_letter_queue = "dead"}).ok());
  broker.PublishMany("orders", 4);
  ExpectBalance();

  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.DeadLetter(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.DeleteMessage(broker.List("orders", MessageState::kReady).messages.at(0).id).ok());
  ExpectBalance();
  EXPECT_EQ(Of("orders").published, 4u);
  EXPECT_EQ(Of("orders").acked, 1u);
  EXPECT_EQ(Of("orders").dead_lettered, 2u);
  EXPECT_EQ(Of("orders").deleted, 1u);
  EXPECT_EQ(Of("dead").arrived, 2u);
  EXPECT_EQ(Of("dead").published, 0u);

  EXPECT_TRUE(broker.Ack(broker.Receive("dead").value()).ok());
  EXPECT_EQ(broker.Purge("dead"), 1u);
  ExpectBalance();
  EXPECT_EQ(Of("dead").acked, 1u);
  EXPECT_EQ(Of("dead").purged, 1u);
}

TEST_F(Counters, CountAnExpiredMessageWhereItWent) {
  ASSERT_TRUE(broker.Create("dead").ok());
  const auto expire_one = [&](Disposal disposal) {
    ASSERT_TRUE(broker.Update("orders", {.expired = disposal, .dead_letter_queue = "dead"}).ok());
    broker.Publish("orders", "a", {.ttl = 1s});
    broker.Advance(1s);
    ExpectBalance();
  };

  expire_one(Disposal::kDrop);
  expire_one(Disposal::kDeadLetter);
  expire_one(Disposal::kPark);

  EXPECT_EQ(Of("orders").expired, 1u);
  EXPECT_EQ(Of("orders").dead_lettered, 1u);
  EXPECT_EQ(Of("orders").parked, 1u);
  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST_F(Counters, CountWhatALimitOrUsedUpAttemptsDrop) {
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker
                  .Update("orders", {.attempts_max = 1,
                                     .exhausted = Disposal::kDrop,
                                     .messages_max = 1,
                                     .overflow = OverflowPolicy::kDropOldest})
                  .ok());
  broker.PublishMany("orders", 2);
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  ExpectBalance();
  EXPECT_EQ(Of("orders").dropped, 2u);
  EXPECT_EQ(Of("orders").returned, 1u);
  EXPECT_EQ(Of("orders").delivered, 1u);
}

TEST_F(Counters, BeginAgainWithWhatARestartFinds) {
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.attempts_max = 1}).ok());
  broker.PublishMany("orders", 3);
  broker.Publish("orders", "later", {.delay = 1h});
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());  // parked

  broker.Restart();

  ExpectBalance();
  EXPECT_EQ(Of("orders").found, 4u);
  EXPECT_EQ(Of("orders").published, 0u);
  EXPECT_EQ(broker.Drain("orders").size(), 2u);
  ExpectBalance();
}

TEST_F(Counters, KnowNoRefusalAndNoDuplicate) {
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.messages_max = 1}).ok());
  const PublishOptions once{.producer = ProducerId(7), .sequence = 1};
  EXPECT_TRUE(broker.TryPublish("orders", "a", once).status.ok());
  EXPECT_TRUE(broker.TryPublish("orders", "a", once).duplicate);
  EXPECT_FALSE(broker.TryPublish("orders", "b").status.ok());

  ExpectBalance();
  EXPECT_EQ(Of("orders").published, 1u);
}

}  // namespace
}  // namespace baton
