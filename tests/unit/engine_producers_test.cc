// Idempotent publish: a message sent again under its sequence is stored once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr ProducerId kProducer(77);

PublishOptions Sequence(uint64_t sequence) { return {.producer = kProducer, .sequence = sequence}; }

TEST(Producer, SendingAgainIsADuplicateAndStoredOnce) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));

  const PublishResult again = broker.TryPublish("orders", "a", Sequence(1));

  EXPECT_TRUE(again.status.ok());
  EXPECT_TRUE(again.duplicate);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a"));
}

TEST(Producer, DuplicatesAreKnownAfterTheMessageIsGone) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));
  broker.Drain("orders");

  EXPECT_TRUE(broker.TryPublish("orders", "a", Sequence(1)).duplicate);
}

TEST(Producer, SequencesMayArriveInAnyOrder) {
  EngineFixture broker;
  for (const uint64_t sequence : {5u, 3u, 4u, 1u})
    EXPECT_FALSE(broker.TryPublish("orders", "x", Sequence(sequence)).duplicate) << sequence;

  for (const uint64_t sequence : {5u, 3u, 4u, 1u})
    EXPECT_TRUE(broker.TryPublish("orders", "x", Sequence(sequence)).duplicate) << sequence;
  EXPECT_FALSE(broker.TryPublish("orders", "x", Sequence(2)).duplicate);
}

TEST(Producer, OneSequenceCountsOverAllQueues) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.Publish("orders", "a", Sequence(1));

  EXPECT_TRUE(broker.TryPublish("mail", "a", Sequence(1)).duplicate);
}

TEST(Producer, SequencesOfAnotherAreItsOwn) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));

  EXPECT_FALSE(broker.TryPublish("orders", "b", {.producer = ProducerId(78), .sequence = 1}).duplicate);
}

TEST(Producer, WithoutASequenceIsNotIdempotent) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.producer = kProducer});
  broker.Publish("orders", "a", {.producer = kProducer});

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a", "a"));
}

TEST(Producer, IsRememberedForTheLast1024Sequences) {
  EngineFixture broker;
  for (uint64_t sequence = 1; sequence <= kProducerWindow; ++sequence)
    broker.Publish("orders", "x", Sequence(sequence));
  EXPECT_TRUE(broker.TryPublish("orders", "x", Sequence(1)).duplicate);

  broker.Publish("orders", "x", Sequence(kProducerWindow + 1));
  const PublishResult too_old = broker.TryPublish("orders", "x", Sequence(1));

  EXPECT_FALSE(too_old.duplicate);
  EXPECT_EQ(too_old.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(too_old.status), reason::kSequenceTooOld);
  EXPECT_TRUE(broker.TryPublish("orders", "x", Sequence(2)).duplicate);
}

TEST(Producer, ThatJumpsAheadKnowsWhatItSkipped) {
  EngineFixture broker;
  broker.Publish("orders", "x", Sequence(1));
  broker.Publish("orders", "x", Sequence(1'000));

  EXPECT_TRUE(broker.TryPublish("orders", "x", Sequence(1)).duplicate);
  EXPECT_FALSE(broker.TryPublish("orders", "x", Sequence(500)).duplicate);
  broker.Publish("orders", "x", Sequence(1'000'000));
  EXPECT_FALSE(broker.TryPublish("orders", "x", Sequence(1'000)).status.ok());
  EXPECT_FALSE(broker.TryPublish("orders", "x", Sequence(1'000'000 - kProducerWindow)).status.ok());
  EXPECT_TRUE(broker.TryPublish("orders", "x", Sequence(1'000'000 - kProducerWindow + 1)).status.ok());
}

TEST(Producer, IsRememberedOverARestart) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));
  broker.Publish("orders", "c", Sequence(3));

  broker.Restart();

  EXPECT_TRUE(broker.TryPublish("orders", "a", Sequence(1)).duplicate);
  EXPECT_FALSE(broker.TryPublish("orders", "b", Sequence(2)).duplicate);
  EXPECT_TRUE(broker.TryPublish("orders", "c", Sequence(3)).duplicate);
}

TEST(Producer, IsNotRememberedForWhatWasLost) {
  EngineFixture broker;
  const SessionId session = broker.Connect(kProducer);
  broker.Hold(EngineFixture::Work::kWrites);
  broker.PublishBatch(session, "orders", 1, {"a"});
  broker.Restart();
  broker.LetGo(EngineFixture::Work::kWrites);

  EXPECT_FALSE(broker.TryPublish("orders", "a", Sequence(1)).duplicate);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a"));
}

TEST(Producer, IsForgottenAfterSevenIdleDays) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));
  broker.Drain("orders");
  broker.Advance(kProducerIdle - 1h);
  EXPECT_EQ(broker.Status().producers, 1u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kProducer), 1u);

  broker.Advance(2h);

  EXPECT_EQ(broker.Status().producers, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kProducer), 0u);
  EXPECT_FALSE(broker.TryPublish("orders", "a", Sequence(1)).duplicate);
}

TEST(Producer, InUseIsNotForgotten) {
  EngineFixture broker;
  for (uint64_t day = 1; day <= 10; ++day) {
    broker.Publish("orders", "a", Sequence(day));
    broker.Drain("orders");
    broker.Advance(24h);
  }

  EXPECT_TRUE(broker.TryPublish("orders", "a", Sequence(1)).duplicate);
}

TEST(Producer, IdleIsForgottenWhenTheBrokerWasDownMeanwhile) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(1));

  broker.Restart(/*downtime=*/kProducerIdle + 1h);

  EXPECT_EQ(broker.Status().producers, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kProducer), 0u);
}

TEST(Producer, OfASessionIsToldWhatWasAccepted) {
  EngineFixture broker;
  const SessionId first = broker.Connect(kProducer);
  EXPECT_EQ(broker.Log(first).accepted_sequence, 0u);
  broker.PublishBatch(first, "orders", 1, {"a", "b", "c"});
  broker.Disconnect(first);

  const SessionId second = broker.Connect(kProducer);
  EXPECT_EQ(broker.Log(second).accepted_sequence, 3u);
  broker.PublishBatch(second, "orders", 2, {"b", "c", "d"});

  const ConfirmRun& run = broker.Log(second).confirms.at(0);
  EXPECT_EQ(run.first, 2u);
  EXPECT_EQ(run.last, 4u);
  EXPECT_THAT(run.duplicates, ElementsAre(2, 3));
  EXPECT_EQ(run.ids.size(), 3 * MessageId::kBytes);
  EXPECT_EQ(run.ids.substr(0, 2 * MessageId::kBytes), std::string(2 * MessageId::kBytes, '\0'));
  EXPECT_TRUE(MessageId::FromBytes(run.ids.substr(2 * MessageId::kBytes)).has_value());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a", "b", "c", "d"));
}

TEST(Producer, TakenOverByANewerSessionEndsTheOlderOne) {
  EngineFixture broker;
  const SessionId older = broker.Connect(kProducer);

  const SessionId newer = broker.Connect(kProducer);

  ASSERT_TRUE(broker.Log(older).end.has_value());
  EXPECT_EQ(broker.Log(older).end->code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(broker.Log(newer).end.has_value());
  broker.Disconnect(older);
  const SessionId third = broker.Connect(kProducer);
  EXPECT_TRUE(broker.Log(newer).end.has_value());  // it held the producer, though the older one was closed
  EXPECT_FALSE(broker.Log(third).end.has_value());
}

TEST(Producer, TravelsWithTheMessage) {
  EngineFixture broker;
  broker.Publish("orders", "a", Sequence(5));
  broker.Publish("orders", "b");

  const Delivery first = broker.Receive("orders").value();
  EXPECT_EQ(first.producer, kProducer);
  EXPECT_EQ(first.sequence, 5u);
  EXPECT_EQ(broker.Receive("orders")->producer, ProducerId());
}

TEST(Producer, DuplicateIsConfirmedOnlyWhenItsFirstPublishIsSafe) {
  EngineFixture broker;
  const SessionId session = broker.Connect(kProducer);
  broker.Hold(EngineFixture::Work::kSyncs);
  broker.PublishBatch(session, "orders", 1, {"a"});
  broker.PublishBatch(session, "orders", 1, {"a"});
  EXPECT_TRUE(broker.Log(session).confirms.empty());

  broker.LetGo(EngineFixture::Work::kSyncs);

  ASSERT_EQ(broker.Log(session).confirms.size(), 2u);
  EXPECT_THAT(broker.Log(session).confirms[1].duplicates, ElementsAre(1));
}

}  // namespace
}  // namespace baton
