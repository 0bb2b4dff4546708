// What goes for a publish over a queue's limits goes in commits of a bounded size, and only for a publish
// that is taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr size_t kTurnBytes = 10'000;

TEST(Overflow, DropsNothingForAPublishThatTheReadyMessagesCannotMakeRoomFor) {
  EngineFixture broker({.bytes_max = 10, .overflow = OverflowPolicy::kDropOldest});
  broker.Publish("orders", "delayed", {.delay = 1h});
  broker.Publish("orders", "abc");

  EXPECT_EQ(ReasonOf(broker.TryPublish("orders", "0123456789").status), reason::kQueueFull);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("abc"));
}

// A spilled queue, of which only the disk can name the oldest.
class DropOldestOnDisk : public testing::Test {
 protected:
  DropOldestOnDisk() {
    broker.PublishMany("orders", 10);
    EXPECT_TRUE(broker.Create("other").ok());
  }
  CallId StartPublish(const std::string& body) {
    Publish publish;
    publish.queue = "orders";
    publish.messages.push_back({.body = body});
    return broker.Start(std::move(publish));
  }
  // More than it may take over its limit; some wait.
  std::vector<CallId> PublishTooMany() {
    std::vector<CallId> calls;
    for (int i = 0; i < 6'000; ++i) calls.push_back(StartPublish(std::to_string(i)));
    EXPECT_FALSE(broker.IsAnswered(calls.back()));
    return calls;
  }
  EngineFixture broker{{.messages_max = 10, .overflow = OverflowPolicy::kDropOldest},
                       {.window_messages = 3, .chunk_rows = 2}};
};

TEST_F(DropOldestOnDisk, MakesPublishersWaitAndRefusesNone) {
  broker.Hold(EngineFixture::Work::kReads);
  std::vector<CallId> calls = PublishTooMany();
  EXPECT_LT(broker.Queue("orders").ready, 5'000u) << "a bounded number";
  broker.Publish("other", "nobody else waits");

  broker.LetGo(EngineFixture::Work::kReads);

  for (const CallId call : calls) {
    const auto reply = broker.TakeAnswer(call);
    ASSERT_TRUE(reply.ok()) << reply.status();
    ASSERT_TRUE(std::get<PublishReply>(*reply).results.at(0).status.ok());
  }
  EXPECT_THAT(broker.Drain("orders"),
              ElementsAre("5990", "5991", "5992", "5993", "5994", "5995", "5996", "5997", "5998", "5999"));
}

TEST_F(DropOldestOnDisk, KeepsWhatASessionSendsInItsOrder) {
  broker.Hold(EngineFixture::Work::kReads);
  const std::vector<CallId> calls = PublishTooMany();
  const SessionId session = broker.Connect(ProducerId(7));
  broker.PublishBatch(session, "orders", 1, {"first"});
  broker.PublishBatch(session, "other", 2, {"second"});
  EXPECT_EQ(broker.Queue("other").ready, 0u);

  broker.LetGo(EngineFixture::Work::kReads);

  EXPECT_THAT(broker.Drain("other"), ElementsAre("second"));
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
}

TEST_F(DropOldestOnDisk, AnswersThoseThatWaitWhenTheQueueIsDeleted) {
  broker.Hold(EngineFixture::Work::kReads);
  const std::vector<CallId> calls = PublishTooMany();

  broker.Delete("orders");

  const auto reply = broker.TakeAnswer(calls.back());
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(ReasonOf(std::get<PublishReply>(*reply).results.at(0).status), reason::kQueueNotFound);
}

TEST_F(DropOldestOnDisk, DropsWhatCameBackBeforeYoungerOnes) {
  const Delivery oldest = broker.Receive("orders").value();
  for (int i = 0; i < 30; ++i) broker.Publish("orders", "x");
  ASSERT_EQ(broker.Queue("orders").ready, 9u);
  ASSERT_TRUE(broker.Release(oldest).ok());

  broker.Publish("orders", "y");

  EXPECT_FALSE(broker.Get(oldest.token.id).ok());
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
}

class ScarceMemoryWithASpilledQueue : public testing::Test {
 protected:
  // Fifteen messages in a queue of ten; the search for victims is under way.
  void OverfillWith(OverflowPolicy overflow) {
    ASSERT_TRUE(broker.Create("dead", {.durability = Durability::kMemory}).ok());
    ASSERT_TRUE(broker
                    .Create("fast", {.durability = Durability::kMemory,
                                     .dead_letter_queue = "dead",
                                     .messages_max = 10,
                                     .overflow = overflow})
                    .ok());
    broker.PublishMany("fast", 10);
    broker.Hold(EngineFixture::Work::kReads);
    broker.PublishMany("fast", 5);
    ASSERT_EQ(broker.Queue("fast").ready, 15u);
  }
  void RoomComesBack() {
    broker.SetMemoryRoom({.grow = SIZE_MAX, .rewrite = SIZE_MAX, .remove = SIZE_MAX, .largest = SIZE_MAX});
    broker.Publish("fast", "x");
    EXPECT_EQ(broker.Queue("fast").ready, 10u);
  }
  EngineFixture broker{{}, {.window_messages = 3, .chunk_rows = 2}};
};

TEST_F(ScarceMemoryWithASpilledQueue, SeeksNoVictimsThatCannotBeRemoved) {
  OverfillWith(OverflowPolicy::kDropOldest);
  broker.SetMemoryRoom({});
  const uint64_t reads = broker.reads_started();

  broker.LetGo(EngineFixture::Work::kReads);

  EXPECT_EQ(broker.Queue("fast").ready, 15u);
  EXPECT_LT(broker.reads_started(), reads + 50);
  RoomComesBack();
}

TEST_F(ScarceMemoryWithASpilledQueue, MovesNoVictimsWhenThereIsRoomOnlyToRemove) {
  OverfillWith(OverflowPolicy::kDeadLetterOldest);
  broker.SetMemoryRoom({.grow = 0, .rewrite = 0, .remove = 20'000, .largest = 0});

  broker.LetGo(EngineFixture::Work::kReads);

  EXPECT_EQ(broker.Queue("dead").ready, 0u);
  RoomComesBack();
}

class LoweredLimit : public testing::TestWithParam<Durability> {
 protected:
  // A thousand messages of a hundred bytes, of which ten may stay.
  explicit LoweredLimit(OverflowPolicy overflow = OverflowPolicy::kDropOldest) {
    EXPECT_TRUE(broker.Create("dead", {.durability = GetParam()}).ok());
    EXPECT_TRUE(
        broker.Create("many", {.durability = GetParam(), .dead_letter_queue = "dead", .overflow = overflow})
            .ok());
    for (int i = 0; i < 1'000; ++i) broker.Publish("many", std::string(100, 'x'));
    EXPECT_TRUE(broker.Update("many", {.messages_max = 10}).ok());
  }
  EngineFixture broker{{}, {.turn_commit_bytes = kTurnBytes}};
};

TEST_P(LoweredLimit, IsReachedInSeveralCommits) {
  EXPECT_EQ(broker.Queue("many").ready, 10u);
  EXPECT_LT(broker.largest_commit(), 2 * kTurnBytes);
}

class LoweredLimitThatMoves : public LoweredLimit {
 protected:
  LoweredLimitThatMoves() : LoweredLimit(OverflowPolicy::kDeadLetterOldest) {}
};

TEST_P(LoweredLimitThatMoves, IsReachedInSeveralCommits) {
  EXPECT_EQ(broker.Queue("many").ready, 10u);
  EXPECT_EQ(broker.Queue("dead").ready, 990u);
  EXPECT_LT(broker.largest_commit(), 2 * kTurnBytes);
}

INSTANTIATE_TEST_SUITE_P(, LoweredLimit, testing::Values(Durability::kDurable, Durability::kMemory));
INSTANTIATE_TEST_SUITE_P(, LoweredLimitThatMoves, testing::Values(Durability::kDurable, Durability::kMemory));

}  // namespace
}  // namespace baton
