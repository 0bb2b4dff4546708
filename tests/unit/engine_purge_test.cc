// Purges and deletions of much: in shares of a turn, with everything else going on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/format/keys.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr RowKind kRowsOfMessages[] = {RowKind::kReady,    RowKind::kDelayed, RowKind::kParked,
                                       RowKind::kAttempts, RowKind::kLocator, RowKind::kBirths};

// Messages in every state, of a queue of either kind; many in memory, and more that are not.
class PurgeOfMuch : public testing::TestWithParam<Durability> {
 protected:
  PurgeOfMuch() { EXPECT_TRUE(broker.Create("q", {.durability = GetParam(), .attempts_max = 2}).ok()); }

  void Fill() {
    for (int i = 0; i < 20; ++i) {
      broker.Publish("q", "parked");
      for (int attempt = 0; attempt < 2; ++attempt)
        EXPECT_TRUE(broker.Nack(broker.Receive("q").value(), 0s).ok());
    }
    for (int i = 0; i < 20; ++i) {
      broker.Publish("q", "returned");
      EXPECT_TRUE(broker.Nack(broker.Receive("q").value(), 1h).ok());
    }
    for (int i = 0; i < 20; ++i) {
      broker.Publish("q", "leased");
      EXPECT_TRUE(broker.Receive("q", 1h).has_value());
    }
    broker.PublishMany("q", 100, {.ttl = 2h});
    broker.PublishMany("q", 100, {.delay = 1h});
  }
  static constexpr uint64_t kMessages = 260;
  void ExpectNothing() {
    for (const RowKind kind : kRowsOfMessages)
      EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
    const QueueInfo info = broker.Queue("q");
    EXPECT_EQ(info.ready + info.leased + info.delayed + info.parked + info.bytes + info.resident, 0u);
    EXPECT_EQ(info.counters.purged, kMessages);
  }

  EngineFixture broker{{}, {.window_messages = 50, .chunk_rows = 20, .purge_share = 5}};
};

INSTANTIATE_TEST_SUITE_P(Of, PurgeOfMuch, testing::Values(Durability::kDurable, Durability::kMemory),
                         [](const auto& param) {
                           return param.param == Durability::kMemory ? "AMemoryQueue" : "AQueueOnDisk";
                         });

TEST_P(PurgeOfMuch, TakesEverythingInEveryState) {
  Fill();
  EXPECT_EQ(broker.Purge("q"), kMessages);
  ExpectNothing();
  broker.Publish("q", "after");
  EXPECT_THAT(broker.Drain("q"), ElementsAre("after"));
}

TEST_P(PurgeOfMuch, GoesOnWhatHappensToTheMessagesMeanwhile) {
  Fill();
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId purge = broker.Start(PurgeQueue{.name = "q"});
  broker.Advance(3h);  // leases end, delays and lives are over
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_TRUE(broker.IsAnswered(purge));
  const QueueInfo info = broker.Queue("q");
  EXPECT_EQ(info.ready + info.leased + info.delayed + info.parked + info.bytes + info.resident, 0u);
  EXPECT_EQ(info.counters.purged + info.counters.expired, kMessages);
}

TEST_P(PurgeOfMuch, IsFollowedByASecondOneAndADeletion) {
  Fill();
  const CallId first = broker.Start(PurgeQueue{.name = "q"});
  const CallId second = broker.Start(PurgeQueue{.name = "q"});
  const CallId deletion = broker.Start(DeleteQueue{.name = "q"});
  EXPECT_TRUE(broker.TakeAnswer(first).ok());
  EXPECT_TRUE(broker.TakeAnswer(second).ok());
  EXPECT_TRUE(broker.TakeAnswer(deletion).ok());
  for (const RowKind kind : kRowsOfMessages)
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST_P(PurgeOfMuch, LeavesACommitSmall) {
  broker.PublishMany("q", 20'000);
  const size_t before = broker.largest_commit();
  broker.Purge("q");
  EXPECT_LT(broker.largest_commit(), std::max<size_t>(before, 200'000u));
}

// Its reads are held, so that it does not end.
class PurgeUnderWay : public testing::Test {
 protected:
  PurgeUnderWay() {
    EXPECT_TRUE(broker.Create("fast", {.durability = Durability::kMemory}).ok());
    broker.PublishMany("fast", 200);
    broker.Hold(EngineFixture::Work::kAnswers);
    purge = broker.Start(PurgeQueue{.name = "fast"});
    EXPECT_FALSE(broker.IsAnswered(purge));
  }
  void LetItEnd() { broker.LetGo(EngineFixture::Work::kAnswers); }

  EngineFixture broker{{}, {.window_messages = 50, .chunk_rows = 20, .purge_share = 5}};
  CallId purge;
};

TEST_F(PurgeUnderWay, GivesNobodyAMessageAndKeepsWhatIsPublished) {
  const SessionId consumer = broker.Connect();
  broker.Subscribe(consumer, "fast");
  const SessionId producer = broker.Connect(ProducerId(7));
  broker.PublishBatch(producer, "fast", 1, {"after"});
  EXPECT_THAT(broker.Take(consumer), IsEmpty());
  EXPECT_GT(broker.held_back().for_memory, 0u);
  broker.Publish("orders", "nobody else waits");
  LetItEnd();
  EXPECT_EQ(std::get<MessageCount>(broker.TakeAnswer(purge).value()).messages, 200u);
  const auto got = broker.Take(consumer);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body, "after");
}

TEST_F(PurgeUnderWay, HasTakenAPartWhenTheBrokerIsKilled) {
  const uint64_t left = broker.Queue("fast").ready;
  EXPECT_LT(left, 200u);
  EXPECT_GT(left, 5u);
  broker.LetGo(EngineFixture::Work::kAnswers);
  broker.Restart();
  EXPECT_EQ(broker.Queue("fast").ready, 0u);
}

}  // namespace
}  // namespace baton
