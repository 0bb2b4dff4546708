// Every property of a queue may change while the queue lives, and the change is obeyed by what waits there
// already: in memory, on disk only, and found by the next life of the broker. (The TTL:
// engine_ttl_change_test; lowered limits: engine_overflow_test, engine_dead_letter_limits_test.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

enum class Waits { kResident, kSpilled, kSpilledAndTheBrokerIsRestarted };

class ChangedProperty : public testing::TestWithParam<Waits> {
 protected:
  ChangedProperty() {
    EXPECT_TRUE(broker.Create("dead").ok());
    broker.PublishMany("orders", 20);
  }
  void Change(const QueueConfigPatch& change) {
    ASSERT_TRUE(broker.Update("orders", change).ok());
    if (GetParam() == Waits::kSpilledAndTheBrokerIsRestarted) broker.Restart();
  }
  Delivery Take() { return broker.Receive("orders").value(); }
  EngineFixture broker{{.attempts_max = 0},
                       {.window_messages = GetParam() == Waits::kResident ? 0u : 3u, .chunk_rows = 2}};
};

TEST_P(ChangedProperty, Lease) {
  Change({.lease = 5s});
  const Delivery held = Take();
  EXPECT_EQ(held.lease_end, broker.now() + 5s);
}

TEST_P(ChangedProperty, AttemptsMaxAndExhausted) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(broker.Nack(Take()).ok());
  Change({.attempts_max = 2, .exhausted = Disposal::kPark});

  EXPECT_TRUE(broker.Nack(Take()).ok()) << "it has had more already, and is delivered once more";

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST_P(ChangedProperty, DeadLetterQueue) {
  Change({.attempts_max = 1, .dead_letter_queue = "dead"});
  EXPECT_TRUE(broker.Nack(Take()).ok());
  EXPECT_THAT(broker.Drain("dead"), ElementsAre("0"));
}

TEST_P(ChangedProperty, Expired) {
  broker.Publish("orders", "mortal", {.ttl = 10s});
  Change({.expired = Disposal::kDeadLetter, .dead_letter_queue = "dead"});
  broker.Advance(10s);
  EXPECT_THAT(broker.Drain("dead"), ElementsAre("mortal"));
}

TEST_P(ChangedProperty, Backoff) {
  EXPECT_TRUE(broker.Nack(Take()).ok());
  Change({.backoff = 1min, .backoff_max = 90s});

  EXPECT_TRUE(broker.Nack(Take()).ok());  // its second
  broker.Advance(90s - 1us);
  EXPECT_EQ(broker.Queue("orders").delayed, 1u);
  broker.Advance(1us);

  EXPECT_EQ(broker.Queue("orders").delayed, 0u);
}

TEST_P(ChangedProperty, InFlightMax) {
  Change({.in_flight_max = 2});
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  EXPECT_THAT(broker.Take(session), SizeIs(2));

  ASSERT_TRUE(broker.Update("orders", {.in_flight_max = 5}).ok());

  EXPECT_THAT(broker.Take(session), SizeIs(3));
}

TEST_P(ChangedProperty, Delivery) {
  Change({.delivery = DeliveryMode::kCommitted});
  EXPECT_EQ(Take().body, "0");
  broker.Hold(EngineFixture::Work::kSyncs);
  broker.Start(Publish{.call = {}, .queue = "dead", .messages = {}});
  EXPECT_EQ(Take().body, "1") << "it is committed";
}

TEST_P(ChangedProperty, Durability) {
  Change({.durability = Durability::kRelaxed});
  broker.Hold(EngineFixture::Work::kSyncs);

  EXPECT_TRUE(broker.Ack(Take()).ok()) << "waits for no sync";

  EXPECT_EQ(broker.Queue("orders").ready, 19u);
}

TEST_P(ChangedProperty, LimitsOfAQueueThatRefuses) {
  Change({.messages_max = 10});
  EXPECT_EQ(broker.Queue("orders").ready, 20u) << "nothing is dropped";
  EXPECT_EQ(ReasonOf(broker.TryPublish("orders", "x").status), reason::kQueueFull);
  Change({.messages_max = 21});
  EXPECT_TRUE(broker.TryPublish("orders", "x").status.ok());
}

TEST_P(ChangedProperty, Overflow) {
  Change({.messages_max = 10});
  Change({.overflow = OverflowPolicy::kDropOldest});
  broker.Advance(20ms);
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
  EXPECT_EQ(Take().body, "10");
  Change({.dead_letter_queue = "dead", .bytes_max = 10, .overflow = OverflowPolicy::kDeadLetterOldest});
  broker.Advance(20ms);
  EXPECT_LE(broker.Queue("orders").bytes, 10u);
  EXPECT_GT(broker.Queue("dead").ready, 0u);
}

TEST_P(ChangedProperty, Paused) {
  broker.Pause("orders");
  if (GetParam() == Waits::kSpilledAndTheBrokerIsRestarted) broker.Restart();
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Resume("orders");
  EXPECT_EQ(Take().body, "0");
}

INSTANTIATE_TEST_SUITE_P(, ChangedProperty,
                         testing::Values(Waits::kResident, Waits::kSpilled,
                                         Waits::kSpilledAndTheBrokerIsRestarted));

}  // namespace
}  // namespace baton
