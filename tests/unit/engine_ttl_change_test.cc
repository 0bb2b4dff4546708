// A queue's TTL that is changed holds for all that waits there: longer, shorter, new or gone, in memory, on
// disk only, delayed, leased, moved, and in the next life of the broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine/message_rows.h"
#include "storage/format/records.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

enum class Waits { kResident, kSpilled, kSpilledSinceARestart, kInMemoryQueue };

void ExpectNoRows(const EngineFixture& broker) {
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kExpiry,
                             RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

EngineFixtureOptions OptionsFor(Waits waits) {
  if (waits == Waits::kResident) return {};
  return {.window_messages = 3, .chunk_rows = 2};
}

class TtlChange : public testing::TestWithParam<Waits> {
 protected:
  void Create(Duration ttl, Disposal expired = Disposal::kDrop) {
    ASSERT_TRUE(broker.Create("dead", {.durability = DurabilityOf()}).ok());
    ASSERT_TRUE(
        broker
            .Create(
                "jobs",
                {.durability = DurabilityOf(), .expired = expired, .dead_letter_queue = "dead", .ttl = ttl})
            .ok());
  }
  static Durability DurabilityOf() {
    return GetParam() == Waits::kInMemoryQueue ? Durability::kMemory : Durability::kDurable;
  }
  // "0", "1", … a second apart; the last one now.
  void PublishOneASecond(int count, const PublishOptions& options = {}) {
    for (int i = 0; i < count; ++i) {
      if (i > 0) broker.Advance(1s);
      broker.Publish("jobs", std::to_string(i), options);
    }
    if (GetParam() == Waits::kSpilledSinceARestart) broker.Restart();
  }
  void ChangeTo(Duration ttl) {
    ASSERT_TRUE(broker.Update("jobs", {.ttl = ttl}).ok());
    if (GetParam() == Waits::kSpilledSinceARestart) broker.Restart();
  }
  uint64_t Waiting(const std::string& queue = "jobs") {
    const QueueInfo info = broker.Queue(queue);
    return info.ready + info.delayed;
  }
  // One goes each second from the next on, to the microsecond.
  void ExpectOneToGoEachSecond(uint64_t count) {
    for (uint64_t left = count; left > 0; --left) {
      broker.Advance(1s - 1us);
      EXPECT_EQ(Waiting(), left);
      broker.Advance(1us);
      EXPECT_EQ(Waiting(), left - 1);
    }
  }
  EngineFixture broker{{}, OptionsFor(GetParam())};
};

TEST_P(TtlChange, ThatShortensItHoldsForWhatWaits) {
  Create(1h);
  PublishOneASecond(20);

  ChangeTo(20s);

  EXPECT_EQ(Waiting(), 20u);
  ExpectOneToGoEachSecond(20);
  EXPECT_EQ(broker.Queue("jobs").counters.expired, 20u);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, ThatShortensItBelowTheirAgeEndsThemAtOnce) {
  Create(1h, Disposal::kDeadLetter);
  PublishOneASecond(20);

  ChangeTo(10s);

  EXPECT_EQ(Waiting(), 10u);
  EXPECT_EQ(Waiting("dead"), 10u);
  ExpectOneToGoEachSecond(10);
}

TEST_P(TtlChange, ToSomeFromNoneHoldsForWhatWaits) {
  Create(0s);
  PublishOneASecond(20);
  broker.Advance(1h);

  ChangeTo(1h + 20s);

  EXPECT_EQ(Waiting(), 20u);
  broker.Advance(0s);
  ExpectOneToGoEachSecond(20);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, ThatLengthensItHoldsForWhatWaits) {
  Create(30s);
  PublishOneASecond(20);

  ChangeTo(1h);

  broker.Advance(1h - 20s);
  EXPECT_EQ(Waiting(), 20u);
  ExpectOneToGoEachSecond(20);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, ThatRemovesItKeepsWhatWaitsForEver) {
  Create(30s);
  PublishOneASecond(20);

  ChangeTo(0s);

  broker.Advance(24h * 365);
  EXPECT_EQ(Waiting(), 20u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  EXPECT_EQ(broker.Drain("jobs").size(), 20u);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, ThereAndBackIsAsIfNothingHadHappened) {
  Create(30s);
  PublishOneASecond(20);
  for (const Duration ttl : {Duration(1h), Duration(25s), Duration(0s), Duration(22s), Duration(30s)})
    ChangeTo(ttl);

  broker.Advance(10s);
  ExpectOneToGoEachSecond(20);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, LeavesAMessageItsOwnTtlAndTheEarlierOfBothHolds) {
  Create(20s);
  broker.Publish("jobs", "short", {.ttl = 10s});
  broker.Publish("jobs", "long", {.ttl = 1min});
  broker.Publish("jobs", "none");
  if (GetParam() == Waits::kSpilledSinceARestart) broker.Restart();

  ChangeTo(0s);
  broker.Advance(10s);
  EXPECT_EQ(Waiting(), 2u) << "short";
  broker.Advance(50s - 1us);
  EXPECT_EQ(Waiting(), 2u);
  broker.Advance(1us);
  EXPECT_EQ(Waiting(), 1u) << "long";
  ChangeTo(2min);
  broker.Advance(1min - 1us);
  EXPECT_EQ(Waiting(), 1u);
  broker.Advance(1us);

  EXPECT_EQ(Waiting(), 0u);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, HoldsForWhatIsDelayedToo) {
  Create(2h);
  PublishOneASecond(20, {.delay = 1h});

  ChangeTo(20s);

  ExpectOneToGoEachSecond(20);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, CountsFromItsArrivalForADeadLetter) {
  Create(10s, Disposal::kDeadLetter);
  PublishOneASecond(5);
  broker.Advance(1h);
  ASSERT_EQ(Waiting("dead"), 5u);  // for an hour, less ten seconds
  if (GetParam() == Waits::kSpilledSinceARestart) broker.Restart();

  ASSERT_TRUE(broker.Update("dead", {.ttl = 1h}).ok());

  broker.Advance(6s - 1us);
  EXPECT_EQ(Waiting("dead"), 5u);
  broker.Advance(1us);
  EXPECT_EQ(Waiting("dead"), 4u);
  broker.Advance(4s);
  EXPECT_EQ(Waiting("dead"), 0u);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, LeavesWhatIsParked) {
  Create(1h, Disposal::kPark);
  PublishOneASecond(5);
  ChangeTo(30min);  // their hints are moved
  broker.Advance(30min);
  ASSERT_EQ(broker.Queue("jobs").parked, 5u);

  ChangeTo(1s);
  broker.Advance(24h);

  EXPECT_EQ(broker.Queue("jobs").parked, 5u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 0u);
}

TEST_P(TtlChange, KeepsCountsOfAttemptsAndTheirReasons) {
  Create(0s);
  const MessageId id = broker.Publish("jobs", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("jobs").value(), 0s, "not now").ok());
  broker.PublishMany("jobs", 5);
  ChangeTo(1h);

  EXPECT_EQ(broker.Get(id)->attempts, 1u);
  EXPECT_EQ(broker.Get(id)->last_reason, "not now");
  const auto delivery = broker.Receive("jobs");
  EXPECT_EQ(delivery->body, "a");
  EXPECT_EQ(delivery->attempt, 2u);
  EXPECT_TRUE(broker.Nack(*delivery, 0s, "nor now").ok());
  EXPECT_EQ(broker.Get(id)->last_reason, "nor now");
  broker.Advance(1h);
  EXPECT_EQ(Waiting(), 0u);
  ExpectNoRows(broker);
}

TEST_P(TtlChange, IsToldOfEachMessage) {
  Create(1h);
  PublishOneASecond(3);

  ChangeTo(1min);

  EXPECT_EQ(broker.List("jobs", MessageState::kReady).messages.at(2).expires, broker.now() + 1min);
}

INSTANTIATE_TEST_SUITE_P(, TtlChange,
                         testing::Values(Waits::kResident, Waits::kSpilled, Waits::kSpilledSinceARestart,
                                         Waits::kInMemoryQueue));

TEST(TtlChangeOfALeasedMessage, HoldsWhenItComesBack) {
  EngineFixture broker({.ttl = 1h});
  broker.PublishMany("orders", 2);
  const auto held = broker.ReceiveMany("orders", {.messages_max = 2, .lease = 1min});

  ASSERT_TRUE(broker.Update("orders", {.ttl = 10s}).ok());
  broker.Advance(20s);

  EXPECT_EQ(broker.Queue("orders").leased, 2u) << "it finishes its lease";
  EXPECT_TRUE(broker.Ack(held.at(0)).ok());
  EXPECT_TRUE(broker.Release(held.at(1)).ok());
  EXPECT_EQ(broker.Queue("orders").counters.expired, 1u);
  ExpectNoRows(broker);
}

TEST(TtlChangeOfALeasedMessage, ThatLengthensItLetsItLiveOn) {
  EngineFixture broker({.ttl = 10s});
  broker.PublishMany("orders", 3);
  const auto held = broker.ReceiveMany("orders", {.messages_max = 3, .lease = 1h});
  broker.Advance(20s);  // their hints have come and gone

  ASSERT_TRUE(broker.Update("orders", {.ttl = 1min}).ok());
  EXPECT_TRUE(broker.Release(held.at(0)).ok());
  EXPECT_TRUE(broker.Nack(held.at(1)).ok());
  EXPECT_TRUE(broker.Nack(held.at(2), 5s).ok());

  broker.Advance(40s - 1us);
  EXPECT_EQ(broker.Queue("orders").ready, 3u);
  broker.Advance(1us);
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  ExpectNoRows(broker);
}

// ---- The walk.

TEST(TtlWalk, GoesOnInTheNextLifeOfTheBroker) {
  for (const auto work :
       {EngineFixture::Work::kReads, EngineFixture::Work::kAnswers, EngineFixture::Work::kWrites}) {
    EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
    broker.PublishMany("orders", 1'500);
    broker.Advance(1min);
    broker.Start(UpdateQueue{.call = {}, .name = "orders", .config = {.ttl = 1h}});
    broker.Hold(work);
    broker.Restart();  // killed before it came to the end
    broker.LetGo(work);
    broker.Restart();

    broker.Advance(59min - 1us);
    EXPECT_EQ(broker.Queue("orders").ready, 1'500u);
    broker.Advance(1us);
    EXPECT_EQ(broker.Queue("orders").ready, 0u);
    ExpectNoRows(broker);
  }
}

TEST(TtlWalk, IsDoneOnce) {
  EngineFixture broker({.ttl = 1h}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 100);
  ASSERT_TRUE(broker.Update("orders", {.ttl = 30min}).ok());
  ASSERT_EQ(broker.store().CountOf(RowKind::kAttempts), 100u);

  broker.Restart();

  EXPECT_LE(broker.rows_read(), 10u);
}

TEST(TtlWalk, OverMuchGoesInSharesOfATurn) {
  EngineFixture broker({.expired = Disposal::kDeadLetter},
                       {.window_messages = 10, .turn_commit_bytes = 20'000});
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = "dead"}).ok());
  for (int i = 0; i < 1'000; ++i) broker.Publish("orders", std::string(400, 'x'));
  broker.Advance(1min);

  ASSERT_TRUE(broker.Update("orders", {.ttl = 1s}).ok());

  EXPECT_EQ(broker.Queue("dead").ready, 1'000u);
  EXPECT_LT(broker.largest_commit(), 40'000u);
}

TEST(TtlWalk, ThatIsChangedOnItsWayGoesByTheLatest) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 2'000);
  broker.Hold(EngineFixture::Work::kAnswers);
  for (const Duration ttl : {Duration(1h), Duration(1min), Duration(2min)})
    broker.Start(UpdateQueue{.call = {}, .name = "orders", .config = {.ttl = ttl}});
  broker.LetGo(EngineFixture::Work::kAnswers);

  broker.Advance(2min - 1us);
  EXPECT_EQ(broker.Queue("orders").ready, 2'000u);
  broker.Advance(1us);
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST(TtlWalk, OverAQueueThatIsDeletedOrPurgedEnds) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  ASSERT_TRUE(broker.Create("gone").ok());
  broker.PublishMany("gone", 2'000);
  broker.PublishMany("orders", 2'000);
  broker.Hold(EngineFixture::Work::kAnswers);
  broker.Start(UpdateQueue{.call = {}, .name = "gone", .config = {.ttl = 1min}});
  broker.Start(UpdateQueue{.call = {}, .name = "orders", .config = {.ttl = 1min}});
  broker.Send(DeleteQueue{.call = CallId(100'000), .name = "gone"});
  broker.Send(PurgeQueue{.call = CallId(100'001), .name = "orders"});
  broker.LetGo(EngineFixture::Work::kAnswers);
  broker.Publish("orders", "after");

  EXPECT_GT(broker.next_due(), broker.now() + 50s) << "nothing is left to do";
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  ExpectNoRows(broker);
}

TEST(TtlWalk, DeliversNothingOverdueBeforeItComesThere) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 50);
  broker.Advance(1min);
  broker.Hold(EngineFixture::Work::kReads);
  broker.Start(UpdateQueue{.call = {}, .name = "orders", .config = {.ttl = 1min}});
  const CallId call = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 1min});
  broker.LetGo(EngineFixture::Work::kReads);
  broker.Publish("orders", "fresh");

  const auto reply = broker.TakeAnswer(call);
  EXPECT_EQ(std::get<ReceiveReply>(*reply).messages.at(0).body, "fresh");
}

// What expires makes room; the others are looked at again and again, until their hints have room.
TEST(TtlWalk, WithoutSharedMemoryWaitsForIt) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  ASSERT_TRUE(broker.Create("jobs", {.durability = Durability::kMemory}).ok());
  broker.PublishMany("jobs", 10);
  broker.Advance(1min);
  broker.PublishMany("jobs", 10);
  broker.SetMemoryRoom({.grow = 0, .rewrite = 100'000, .remove = 100'000, .largest = 100'000});

  ASSERT_TRUE(broker.Update("jobs", {.ttl = 1min}).ok());
  EXPECT_EQ(broker.Queue("jobs").ready, 10u);
  broker.Advance(10s);
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("jobs").ready, 0u) << "found by the walk itself";

  broker.PublishMany("orders", 1);
  EXPECT_GT(broker.next_due(), broker.now() + 1s);
}

TEST(TtlWalk, OverAStoreOfAnEarlierVersionTakesItsDeadlinesForTheMessagesOwn) {
  EngineFixture broker;
  const MessageId id = broker.Publish("orders", "a");
  const QueueId number = broker.Queue("orders").number;
  const Instant deadline = broker.now() + 10min;
  broker.RestartWith([&](Commit& commit) {
    std::string row;
    AppendMessageHead(row, {.born = broker.now(), .deadline = deadline});
    commit.SingleDelete(BirthKeyOf(id));
    commit.Put(BirthKeyOf(id), row + "a");
    commit.Put(ExpiryKey({deadline, number, id.seq}), EncodeExpiryHint(id));
  });

  ASSERT_TRUE(broker.Update("orders", {.ttl = 1h}).ok());
  EXPECT_EQ(broker.Get(id)->expires, deadline);
  ASSERT_TRUE(broker.Update("orders", {.ttl = 1min}).ok());
  broker.Advance(1min);

  EXPECT_EQ(broker.Queue("orders").ready, 0u);
  ExpectNoRows(broker);
}

}  // namespace
}  // namespace baton
