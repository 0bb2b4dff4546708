// Dead letters and the limits of the queue they go to: they are never refused. Where the queue drops its
// oldest, or moves them, its limits hold; else it keeps them all, and says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr size_t kTurnBytes = 16'000;

struct Where {
  Durability durability = Durability::kDurable;
  size_t window_messages = 0;
};

class DeadLetterLimits : public testing::TestWithParam<Where> {
 protected:
  // "source" expires into "dead", after a second.
  void Create(QueueConfigPatch dead) {
    dead.durability = GetParam().durability;
    ASSERT_TRUE(broker.Create("ashes", {.durability = GetParam().durability}).ok());
    if (dead.overflow == OverflowPolicy::kDeadLetterOldest) dead.dead_letter_queue = "ashes";
    ASSERT_TRUE(broker.Create("dead", dead).ok());
    ASSERT_TRUE(broker
                    .Create("source", {.durability = GetParam().durability,
                                       .expired = Disposal::kDeadLetter,
                                       .dead_letter_queue = "dead",
                                       .ttl = Duration(1s)})
                    .ok());
  }
  void ExpireMany(int count, size_t bytes) {
    for (int i = 0; i < count; ++i) {
      std::string body = std::to_string(i) + ' ';
      if (body.size() < bytes) body.resize(bytes, '.');
      broker.Publish("source", body);
    }
    broker.Advance(1s);
    ASSERT_EQ(broker.Queue("source").ready, 0u);
    broker.Advance(20ms);
  }
  std::vector<std::string> NumbersIn(const std::string& queue) {
    std::vector<std::string> numbers;
    for (const std::string& body : broker.Drain(queue)) numbers.push_back(body.substr(0, body.find(' ')));
    return numbers;
  }
  EngineFixture broker{{}, {.window_messages = GetParam().window_messages, .turn_commit_bytes = kTurnBytes}};
};

TEST_P(DeadLetterLimits, HoldWhereTheQueueDropsItsOldest) {
  Create({.messages_max = 3, .overflow = OverflowPolicy::kDropOldest});

  ExpireMany(1'000, 10);

  EXPECT_EQ(broker.Queue("dead").counters.dropped, 997u);
  EXPECT_EQ(broker.Queue("source").counters.dead_lettered, 1'000u);
  EXPECT_FALSE(broker.Queue("dead").is_over_limits);
  EXPECT_THAT(NumbersIn("dead"), ElementsAre("997", "998", "999"));
}

TEST_P(DeadLetterLimits, HoldInBytesWhenManyLargeOnesComeAtOnce) {
  Create({.bytes_max = 20'000, .overflow = OverflowPolicy::kDropOldest});

  ExpireMany(300, 4'000);

  EXPECT_LE(broker.Queue("dead").bytes, 20'000u);
  EXPECT_LT(broker.largest_commit(), 3 * kTurnBytes);
  EXPECT_EQ(NumbersIn("dead").back(), "299");
}

TEST_P(DeadLetterLimits, HoldWhereTheQueueMovesItsOldest) {
  Create({.messages_max = 3, .overflow = OverflowPolicy::kDeadLetterOldest});

  ExpireMany(100, 10);

  EXPECT_EQ(broker.Queue("ashes").ready, 97u);
  EXPECT_THAT(NumbersIn("dead"), ElementsAre("97", "98", "99"));
}

TEST_P(DeadLetterLimits, AreExceededWhereTheQueueRefusesAndItSaysSo) {
  Create({.messages_max = 3});

  ExpireMany(100, 10);

  EXPECT_EQ(broker.Queue("dead").ready, 100u);
  EXPECT_TRUE(broker.Queue("dead").is_over_limits);
  EXPECT_EQ(ReasonOf(broker.TryPublish("dead", "x").status), reason::kQueueFull);
  EXPECT_EQ(broker.Queue("dead").counters.dropped, 0u);
  EXPECT_THAT(broker.warnings(), ElementsAre(HasSubstr("queue dead is full")));
  broker.Advance(1min);
  ExpireMany(10, 10);
  EXPECT_THAT(broker.warnings(), SizeIs(2)) << "once a minute";
}

TEST_P(DeadLetterLimits, AreSaidToBeReachedWhenMessagesGoForThem) {
  Create({.messages_max = 3, .overflow = OverflowPolicy::kDropOldest});
  ExpireMany(3, 10);
  EXPECT_THAT(broker.warnings(), IsEmpty());

  ExpireMany(3, 10);

  EXPECT_THAT(broker.warnings(), ElementsAre(HasSubstr("it drops its oldest messages")));
}

TEST_P(DeadLetterLimits, HoldWhenTheyAreLoweredAndInTheNextLifeOfTheBroker) {
  Create({});
  ExpireMany(100, 10);

  ASSERT_TRUE(broker.Update("dead", {.messages_max = 50}).ok());
  EXPECT_EQ(broker.Queue("dead").ready, 100u);
  ASSERT_TRUE(broker.Update("dead", {.overflow = OverflowPolicy::kDropOldest}).ok());
  broker.Advance(20ms);
  EXPECT_EQ(broker.Queue("dead").ready, 50u);
  broker.Hold(EngineFixture::Work::kReads);
  broker.Start(UpdateQueue{.call = {}, .name = "dead", .config = {.messages_max = 3}});
  broker.LetGo(EngineFixture::Work::kReads);
  broker.Restart();
  broker.Advance(20ms);

  EXPECT_THAT(NumbersIn("dead"), ElementsAre("97", "98", "99"));
}

TEST_P(DeadLetterLimits, HoldAsSoonAsWhatIsLeasedComesBack) {
  Create({.messages_max = 2, .overflow = OverflowPolicy::kDropOldest});
  ExpireMany(2, 10);
  const Delivery acked = broker.Receive("dead", 1h).value();
  const Delivery released = broker.Receive("dead", 1h).value();
  ExpireMany(4, 10);
  EXPECT_EQ(broker.Queue("dead").leased, 2u);
  EXPECT_EQ(broker.Queue("dead").ready, 0u) << "the leased ones are as many as there may be";

  EXPECT_TRUE(broker.Release(released).ok());
  EXPECT_TRUE(broker.Ack(acked).ok());
  broker.Advance(20ms);

  EXPECT_EQ(broker.Queue("dead").ready, 1u);
  EXPECT_FALSE(broker.Queue("dead").is_over_limits);
}

INSTANTIATE_TEST_SUITE_P(, DeadLetterLimits,
                         testing::Values(Where{}, Where{.window_messages = 3},
                                         Where{.durability = Durability::kMemory, .window_messages = 3}));

}  // namespace
}  // namespace baton
