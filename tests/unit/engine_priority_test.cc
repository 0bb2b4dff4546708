// Order: larger priorities first, first in first out within one, and a returned message keeps its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(Priority, LargerIsDeliveredFirst) {
  EngineFixture broker;
  broker.Publish("orders", "low", {.priority = 1});
  broker.Publish("orders", "high", {.priority = 9});
  broker.Publish("orders", "none");

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("high", "low", "none"));
}

TEST(Priority, HasAllOf32Bits) {
  EngineFixture broker;
  broker.Publish("orders", "0", {.priority = 0});
  broker.Publish("orders", "2^32-1", {.priority = 0xffffffff});
  broker.Publish("orders", "2^32-2", {.priority = 0xfffffffe});
  broker.Publish("orders", "2^31", {.priority = 0x80000000});

  const Delivery first = broker.Receive("orders").value();
  EXPECT_EQ(first.priority, 0xffffffffu);
  EXPECT_TRUE(broker.Ack(first).ok());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("2^32-2", "2^31", "0"));
}

TEST(Priority, WithinOneTheFirstPublishedIsFirst) {
  EngineFixture broker;
  for (const char* body : {"a", "b", "c", "d"}) broker.Publish("orders", body, {.priority = 5});

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a", "b", "c", "d"));
}

TEST(Priority, OfAReturnedMessageKeepsItsPlace) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const Delivery first = broker.Receive("orders").value();
  const Delivery second = broker.Receive("orders").value();

  EXPECT_TRUE(broker.Nack(second).ok());
  EXPECT_TRUE(broker.Nack(first).ok());

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1", "2"));
}

TEST(Priority, OfAReturnedMessageKeepsItsPlaceOnDisk) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 20);
  const Delivery first = broker.Receive("orders").value();
  broker.PublishMany("orders", 20, {.priority = 7});  // pushes the others out of memory

  EXPECT_TRUE(broker.Nack(first).ok());

  std::vector<std::string> bodies = broker.Drain("orders");
  ASSERT_EQ(bodies.size(), 40u);
  EXPECT_EQ(bodies.at(20), "0");
  EXPECT_EQ(bodies.at(21), "1");
}

TEST(Priority, HoldsOverARestart) {
  EngineFixture broker;
  for (uint32_t i = 0; i < 10; ++i)
    broker.Publish("orders", std::to_string(i % 3) + std::to_string(i), {.priority = i % 3});

  broker.Restart();

  EXPECT_THAT(broker.Drain("orders"),
              ElementsAre("22", "25", "28", "11", "14", "17", "00", "03", "06", "09"));
}

TEST(Priority, MayBeDifferentForEveryMessage) {
  EngineFixture broker({}, {.window_messages = 5, .chunk_rows = 4});
  const uint32_t count = 200;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t priority = i * 37 % count;
    broker.Publish("orders", std::to_string(priority), {.priority = priority});
  }

  std::vector<std::string> expected;
  for (uint32_t i = count; i > 0; --i) expected.push_back(std::to_string(i - 1));
  EXPECT_EQ(broker.Drain("orders"), expected);
}

TEST(Priority, OfADelayedMessageCountsWhenItIsDue) {
  EngineFixture broker;
  broker.Publish("orders", "urgent", {.priority = 9, .delay = 1s});
  broker.Publish("orders", "plain");
  EXPECT_EQ(broker.Queue("orders").ready, 1u);

  broker.Advance(1s);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("urgent", "plain"));
}

TEST(Priority, OfADelayedMessageDecidesAmongItsEqualsByPublishing) {
  EngineFixture broker;
  broker.Publish("orders", "first, delayed", {.delay = 1s});
  broker.Publish("orders", "second");

  broker.Advance(1s);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("first, delayed", "second"));
}

}  // namespace
}  // namespace baton
