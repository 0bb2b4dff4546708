// Queues: made, changed while they live, paused, purged, deleted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "server/engine/queue_record.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Queue, HasTheDefaultsOrWhatWasAsked) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail", {.lease = 7s, .attempts_max = 3}).ok());

  EXPECT_EQ(broker.Queue("orders").config, QueueConfig());
  QueueConfig expected;
  expected.lease = 7s;
  expected.attempts_max = 3;
  EXPECT_EQ(broker.Queue("mail").config, expected);
  EXPECT_EQ(broker.Queue("mail").created, broker.now());
}

TEST(Queue, ThatExistsIsNotMadeAgain) {
  EngineFixture broker;
  const absl::Status status = broker.Create("orders");

  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(status), reason::kQueueExists);
}

TEST(Queue, ThatDoesNotExistIsNamedWithTheCommandThatMakesIt) {
  EngineFixture broker;
  const absl::Status status = broker.Ask<QueueInfo>(GetQueue{.call = {}, .name = "nowhere"}).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), reason::kQueueNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("baton queue create nowhere"));
  EXPECT_EQ(broker.TryPublish("nowhere", "a").status, status);
  EXPECT_EQ(broker.Ask<ReceiveReply>(Receive{.call = {}, .queue = "nowhere"}).status(), status);
  EXPECT_EQ(broker.Update("nowhere", {}), status);
  EXPECT_EQ(broker.Ask<MessageCount>(PurgeQueue{.call = {}, .name = "nowhere"}).status(), status);
  EXPECT_EQ(broker.Ask<MessageCount>(DeleteQueue{.call = {}, .name = "nowhere"}).status(), status);
  EXPECT_EQ(broker.Ask<MessagePage>(ListMessages{.call = {}, .queue = "nowhere", .after = {}}).status(),
            status);
}

TEST(Queue, WithANameThatIsNoneIsRefused) {
  EngineFixture broker;
  for (const std::string& name : {std::string(), std::string("a b"), std::string(129, 'a')})
    EXPECT_EQ(ReasonOf(broker.Create(name)), reason::kQueueNameInvalid) << name;
}

TEST(Queue, WithAValueOutOfRangeIsRefusedAndNothingChanges) {
  EngineFixture broker;
  EXPECT_EQ(ReasonOf(broker.Create("mail", {.lease = 1ms})), reason::kQueueConfigInvalid);
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.lease = kLeaseMax + 1ms})), reason::kQueueConfigInvalid);
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.ttl = kTtlMax + 1ms})), reason::kQueueConfigInvalid);
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.backoff = -1ms})), reason::kQueueConfigInvalid);
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.backoff_max = kDelayMax + 1ms})), reason::kQueueConfigInvalid);
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.attempts_max = kAttemptsCeiling + 1})),
            reason::kQueueConfigInvalid);

  EXPECT_EQ(broker.Queue("orders").config, QueueConfig());
}

TEST(Queue, CannotBeItsOwnDeadLetterQueueAndTheOneItNamesMustExist) {
  EngineFixture broker;
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.dead_letter_queue = "orders"})), reason::kQueueConfigInvalid);
  const absl::Status missing = broker.Update("orders", {.dead_letter_queue = "nowhere"});

  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(missing), reason::kQueueNotFound);
}

TEST(Queue, CanStillBeChangedWhenItsDeadLetterQueueIsGone) {
  EngineFixture broker;
  const QueueId number = broker.Queue("orders").number;
  broker.RestartWith([&](Commit& commit) {
    commit.Put(
        QueueKey("orders"),
        EncodeQueue({.number = number, .created = broker.now(), .config = {.dead_letter_queue = "dead"}}));
  });

  EXPECT_TRUE(broker.Update("orders", {.lease = 1min}).ok());
  broker.Pause("orders");
  EXPECT_TRUE(broker.Update("orders", {.dead_letter_queue = ""}).ok());
}

TEST(Queue, DefinitionIsSyncedBeforeTheAnswerWhateverItsDurability) {
  EngineFixture broker;
  broker.Hold(EngineFixture::Work::kSyncs);
  const CallId call =
      broker.Start(CreateQueue{.call = {}, .name = "mail", .config = {.durability = Durability::kRelaxed}});
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.LetGo(EngineFixture::Work::kSyncs);

  EXPECT_TRUE(broker.TakeAnswer(call).ok());
}

TEST(Queue, AndItsSettingsSurviveARestart) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("dead").ok());
  const QueueConfigPatch everything{.durability = Durability::kRelaxed,
                                    .delivery = DeliveryMode::kCommitted,
                                    .lease = 1min,
                                    .attempts_max = 5,
                                    .backoff = 2s,
                                    .backoff_max = 3min,
                                    .exhausted = Disposal::kPark,
                                    .expired = Disposal::kDeadLetter,
                                    .dead_letter_queue = "dead",
                                    .ttl = 24h,
                                    .messages_max = 1'000,
                                    .bytes_max = 1'000'000,
                                    .in_flight_max = 10,
                                    .overflow = OverflowPolicy::kDropOldest};
  ASSERT_TRUE(broker.Create("mail", everything).ok());
  broker.Pause("mail");
  const QueueInfo before = broker.Queue("mail");

  broker.Restart();

  const QueueInfo after = broker.Queue("mail");
  EXPECT_EQ(after.config, everything.ApplyTo(QueueConfig()));
  EXPECT_TRUE(after.paused);
  EXPECT_EQ(after.created, before.created);
  EXPECT_EQ(after.number, before.number);
}

TEST(Queue, CountsAreExactAfterARestart) {
  EngineFixture broker({.attempts_max = 1});
  for (const char* body : {"parked", "leased", "ready"}) broker.Publish("orders", body);
  broker.Publish("orders", "delayed", {.delay = 1h});
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  broker.Receive("orders", 1h);
  const QueueInfo before = broker.Queue("orders");
  ASSERT_EQ(before.leased, 1u);

  broker.Restart();

  const QueueInfo after = broker.Queue("orders");
  EXPECT_EQ(after.ready, 2u);  // the lease is gone
  EXPECT_EQ(after.leased, 0u);
  EXPECT_EQ(after.delayed, 1u);
  EXPECT_EQ(after.parked, 1u);
  EXPECT_EQ(after.bytes, before.bytes);
}

TEST(Queue, NumberIsNeverGivenAgain) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  const QueueId first = broker.Queue("mail").number;
  broker.Delete("mail");
  broker.Restart();

  ASSERT_TRUE(broker.Create("mail").ok());

  EXPECT_GT(broker.Queue("mail").number, first);
}

TEST(Queue, SaysHowOldItsOldestMessageIs) {
  EngineFixture broker;
  EXPECT_EQ(broker.Queue("orders").oldest_age, 0s);
  broker.Publish("orders", "a");
  broker.Advance(10s);
  broker.Publish("orders", "b");
  broker.Advance(5s);
  EXPECT_EQ(broker.Queue("orders").oldest_age, 15s);

  broker.Restart(5s);
  EXPECT_EQ(broker.Queue("orders").oldest_age, 20s);
  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());

  EXPECT_EQ(broker.Queue("orders").oldest_age, 10s);
}

TEST(Queue, CountsWhatHappensInThisLife) {
  EngineFixture broker({.attempts_max = 2});
  broker.PublishMany("orders", 3);
  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  const QueueCounters counters = broker.Queue("orders").counters;
  EXPECT_EQ(counters.published, 3u);
  EXPECT_EQ(counters.delivered, 2u);
  EXPECT_EQ(counters.acked, 1u);
  EXPECT_EQ(counters.returned, 1u);
  broker.Restart();
  EXPECT_EQ(broker.Queue("orders").counters.published, 0u);
}

TEST(Queues, AreListedByNameInPages) {
  EngineFixture broker;
  for (const char* name : {"b.1", "b.2", "a", "b.3", "c"}) ASSERT_TRUE(broker.Create(name).ok());
  const auto names = [](const QueueList& list) {
    std::vector<std::string> all;
    for (const QueueInfo& info : list.queues) all.push_back(info.name);
    return all;
  };

  EXPECT_THAT(names(*broker.Ask<QueueList>(ListQueues{.call = {}, .prefix = "", .after = ""})),
              ElementsAre("a", "b.1", "b.2", "b.3", "c", "orders"));
  const auto first = broker.Ask<QueueList>(ListQueues{.call = {}, .prefix = "b.", .after = "", .limit = 2});
  EXPECT_THAT(names(*first), ElementsAre("b.1", "b.2"));
  EXPECT_TRUE(first->more);
  const auto second =
      broker.Ask<QueueList>(ListQueues{.call = {}, .prefix = "b.", .after = "b.2", .limit = 2});
  EXPECT_THAT(names(*second), ElementsAre("b.3"));
  EXPECT_FALSE(second->more);
}

TEST(Pause, TakesPublishesAndDeliversNothing) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Pause("orders");
  broker.PublishMany("orders", 2);
  EXPECT_THAT(broker.Take(session), IsEmpty());
  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_EQ(broker.Queue("orders").ready, 2u);

  broker.Resume("orders");

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("0", "1"));
}

TEST(Pause, LetsWhatIsLeasedBeSettled) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const Delivery first = broker.Receive("orders").value();
  const Delivery second = broker.Receive("orders").value();
  broker.Pause("orders");

  EXPECT_TRUE(broker.Ack(first).ok());
  EXPECT_TRUE(broker.Nack(second).ok());

  EXPECT_EQ(broker.Queue("orders").ready, 1u);
}

TEST(Pause, ReadsNothingAhead) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10);
  broker.Pause("orders");
  broker.Restart();
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  EXPECT_EQ(broker.Queue("orders").resident, 0u);

  broker.Resume("orders");

  EXPECT_EQ(broker.Take(session).size(), 10u);
}

TEST(OldestAge, IsTheSameAfterARestartHoweverManyBirths) {
  EngineFixture broker;
  const auto births = [&broker] { return broker.store().CountOf(RowKind::kBirths); };
  for (int i = 0; i < 30; ++i) {
    broker.Publish("orders", "m");
    broker.Advance(1s);
  }
  EXPECT_EQ(births(), 1u);
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(broker.Queue("orders").oldest_age, 30s - i * 1s);
    broker.Restart();
    ASSERT_EQ(broker.Queue("orders").oldest_age, 30s - i * 1s) << i;
    ASSERT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());
  }
  EXPECT_EQ(births(), 0u);

  broker.PublishMany("orders", 5);
  for (int i = 0; i < 30; ++i) {
    broker.Advance(1s);
    broker.Publish("orders", "m");
  }
  EXPECT_EQ(births(), 1u);
  broker.Purge("orders");
  EXPECT_EQ(births(), 0u);
}

TEST(Purge, TakesEverythingInEveryState) {
  EngineFixture broker({.attempts_max = 1}, {.window_messages = 4, .chunk_rows = 2});
  broker.Publish("orders", "parked");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  broker.Publish("orders", "leased");
  broker.Receive("orders", 1h);
  broker.PublishMany("orders", 10);
  broker.PublishMany("orders", 10, {.delay = 1h});

  EXPECT_EQ(broker.Purge("orders"), 22u);

  const QueueInfo info = broker.Queue("orders");
  EXPECT_EQ(info.ready + info.leased + info.delayed + info.parked + info.bytes + info.resident, 0u);
  EXPECT_EQ(info.oldest_age, 0s);
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
  broker.Publish("orders", "after");
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("after"));
}

TEST(Purge, LeavesOtherQueuesAlone) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("orders", 3);
  broker.PublishMany("mail", 2);

  broker.Purge("orders");

  EXPECT_THAT(broker.Drain("mail"), ElementsAre("0", "1"));
}

TEST(Purge, WhileAReadIsOnItsWayLetsNothingComeBack) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 4});
  broker.PublishMany("orders", 20);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");  // the read-ahead starts
  broker.Purge("orders");
  broker.Publish("orders", "after");

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("after"));
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

TEST(Purge, DoesNotGiveCreditBackByItself) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 2});
  ASSERT_EQ(broker.Take(session).size(), 2u);
  broker.Purge("orders");
  broker.Publish("orders", "after");
  EXPECT_THAT(broker.Take(session), IsEmpty());  // the client still has two in its hands

  broker.SettleTags(session, {{1, 2}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("after"));
  ASSERT_EQ(broker.Log(session).settle_failures.size(), 1u);
  EXPECT_EQ(ReasonOf(broker.Log(session).settle_failures[0].status), reason::kMessageNotFound);
  EXPECT_EQ(broker.Log(session).settle_failures[0].further, 1u);
}

TEST(DeleteQueue, EndsItsSubscriptionsAndWaits) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders");
  const CallId waiting = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 1min});

  broker.Delete("orders");

  EXPECT_EQ(ReasonOf(broker.Log(session).ended.at(subscription)), reason::kQueueDeleted);
  EXPECT_EQ(ReasonOf(broker.TakeAnswer(waiting).status()), reason::kQueueDeleted);
}

TEST(DeleteQueue, MadeAgainIsAnotherQueue) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.PublishMany("orders", 2, {.delay = 1s});
  EXPECT_EQ(broker.Delete("orders"), 2u);
  ASSERT_TRUE(broker.Create("orders").ok());
  broker.Publish("orders", "new");

  broker.Advance(1s);

  EXPECT_THAT(broker.Take(session), IsEmpty());  // its subscription ended with the old one
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("new"));
}

TEST(DeleteQueue, LeavesNoRowsOfItsOwn) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const size_t before = broker.store().rows().size();
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("mail", 5);
  EXPECT_TRUE(broker.Nack(broker.Receive("mail").value()).ok());

  broker.Delete("mail");

  EXPECT_EQ(broker.store().rows().size(), before);
}

TEST(DeleteQueue, OnlyIfEmptyIsRefusedForOneThatIsNot) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const auto refused =
      broker.Ask<MessageCount>(DeleteQueue{.call = {}, .name = "orders", .only_if_empty = true});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused.status()), reason::kQueueNotEmpty);
  broker.Drain("orders");

  EXPECT_TRUE(
      broker.Ask<MessageCount>(DeleteQueue{.call = {}, .name = "orders", .only_if_empty = true}).ok());
}

TEST(DeleteQueue, IsRefusedWhileOthersNameItAsTheirDeadLetterQueue) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = "dead"}).ok());
  const auto message = [&] {
    const absl::Status refused = broker.Ask<MessageCount>(DeleteQueue{.call = {}, .name = "dead"}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(refused), reason::kQueueInUse);
    return std::string(refused.message());
  };
  EXPECT_THAT(message(), testing::HasSubstr("the dead-letter queue of orders: give it another one"));
  for (int i = 1; i <= 6; ++i) {
    ASSERT_TRUE(broker.Create("mail" + std::to_string(i), {.dead_letter_queue = "dead"}).ok());
  }
  EXPECT_THAT(message(), testing::HasSubstr("mail1, mail2, mail3, mail4, mail5 and 2 more: give them"));
  EXPECT_EQ(broker.Queue("dead").ready, 0u);  // it is there

  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = ""}).ok());
  for (int i = 1; i <= 6; ++i) broker.Delete("mail" + std::to_string(i));

  EXPECT_EQ(broker.Delete("dead"), 0u);
}

TEST(DeleteQueue, WhileItsMessagesAreBeingReadHarmsNobody) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10);
  const MessageId spilled = broker.Publish("orders", "last");
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId get = broker.Start(GetMessage{.call = {}, .id = spilled});
  const CallId list = broker.Start(ListMessages{.call = {}, .queue = "orders", .after = {}});
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Delete("orders");
  ASSERT_TRUE(broker.Create("orders").ok());

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_EQ(broker.TakeAnswer(get).status().code(), absl::StatusCode::kNotFound);
  const auto page = broker.TakeAnswer(list);
  EXPECT_TRUE(!page.ok() || std::get<MessagePage>(*page).messages.empty());
  EXPECT_EQ(broker.Queue("orders").ready, 0u);
}

}  // namespace
}  // namespace baton
