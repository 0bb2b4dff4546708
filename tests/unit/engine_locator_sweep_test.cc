// What a purge or a deletion leaves of messages that had moved: nothing, wherever they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/format/keys.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using testing::SizeIs;

// Dead letters in "dead", parked ones in "orders"; three of each at most are in memory.
class LocatorSweep : public testing::Test {
 protected:
  LocatorSweep() {
    EXPECT_TRUE(broker.Create("dead").ok());
    EXPECT_TRUE(broker.Create("elsewhere").ok());
  }
  void DeadLetter(int messages) {
    EXPECT_TRUE(broker
                    .Update("orders", {.attempts_max = 1,
                                       .exhausted = Disposal::kDeadLetter,
                                       .dead_letter_queue = std::string("dead")})
                    .ok());
    NackAll(messages);
  }
  void Park(int messages) {
    EXPECT_TRUE(broker.Update("orders", {.attempts_max = 1, .exhausted = Disposal::kPark}).ok());
    NackAll(messages);
  }
  size_t Locators() { return broker.store().CountOf(RowKind::kLocator); }
  size_t Marks() { return broker.store().CountOf(RowKind::kMeta); }

  EngineFixture broker{{}, {.window_messages = 3, .chunk_rows = 2}};

 private:
  void NackAll(int messages) {
    for (int i = 0; i < messages; ++i) {
      broker.Publish("orders", "m");
      EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
    }
  }
};

TEST_F(LocatorSweep, FollowsThePurgeOfADeadLetterQueue) {
  DeadLetter(100);
  ASSERT_EQ(Locators(), 100u);
  ASSERT_LT(broker.Queue("dead").resident, 10u);
  broker.Purge("dead");
  EXPECT_EQ(Locators(), 0u);
  EXPECT_EQ(Marks(), 0u);
}

TEST_F(LocatorSweep, IsNotNeededWhereAllIsInMemory) {
  DeadLetter(1);
  const uint64_t reads = broker.reads_started();
  broker.Purge("dead");
  EXPECT_EQ(Locators(), 0u);
  EXPECT_EQ(broker.reads_started(), reads);
}

TEST_F(LocatorSweep, FollowsThePurgeOfParkedMessages) {
  Park(100);
  ASSERT_EQ(Locators(), 100u);
  broker.Purge("orders");
  EXPECT_EQ(Locators(), 0u);
}

TEST_F(LocatorSweep, FollowsTheDeletionOfAQueue) {
  DeadLetter(100);
  Park(50);
  broker.Delete("orders");
  EXPECT_EQ(Locators(), 100u);
  broker.Delete("dead");
  EXPECT_EQ(Locators(), 0u);
}

TEST_F(LocatorSweep, SparesTheMessagesOfOtherQueuesAndThoseThatCameSince) {
  DeadLetter(20);
  Park(20);
  broker.Purge("dead");
  DeadLetter(20);
  EXPECT_EQ(Locators(), 40u);
  broker.Restart();
  EXPECT_THAT(broker.Drain("dead"), SizeIs(20));
  EXPECT_EQ(Locators(), 20u);
}

TEST_F(LocatorSweep, OfMoreThanOneReadTakesEveryOne) {
  DeadLetter(3'500);
  broker.Purge("dead");
  EXPECT_EQ(Locators(), 0u);
}

TEST_F(LocatorSweep, GoesOnAfterARestart) {
  DeadLetter(100);
  broker.Hold(EngineFixture::Work::kAnswers);
  broker.Purge("dead");
  ASSERT_GT(Locators(), 90u);
  EXPECT_EQ(Marks(), 1u);
  broker.Restart();
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_EQ(Locators(), 0u);
  EXPECT_EQ(Marks(), 0u);
}

// The chunk is read when the message is still in the queue that is purged then.
TEST_F(LocatorSweep, SparesWhatMovesOnWhileItReads) {
  DeadLetter(1);
  Park(20);
  ASSERT_TRUE(broker.Update("dead", {.attempts_max = 1, .dead_letter_queue = std::string("elsewhere")}).ok());
  broker.Hold(EngineFixture::Work::kAnswers);
  broker.Purge("orders");
  EXPECT_TRUE(broker.Nack(broker.Receive("dead").value()).ok());
  broker.Purge("dead");
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_EQ(Locators(), 1u);
  EXPECT_TRUE(broker.Ack(broker.Receive("elsewhere").value()).ok());
  EXPECT_EQ(Locators() + Marks(), 0u);
}

}  // namespace
}  // namespace baton
