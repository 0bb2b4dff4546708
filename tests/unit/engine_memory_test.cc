// Memory is a window: bounded however long the backlog is, and nothing depends on what is in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr EngineFixtureOptions kSmall{.window_messages = 20, .chunk_rows = 8};

std::vector<std::string> Numbers(int count) {
  std::vector<std::string> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

TEST(Memory, StaysWithinItsBudgetWithALargeBacklog) {
  EngineFixture broker({}, kSmall);
  const uint64_t budget = kSmall.window_messages * (sizeof(Message) + 180);
  for (int i = 0; i < 3'000; ++i) {
    broker.Publish("orders", std::to_string(i));
    ASSERT_LE(broker.Status().resident_bytes, budget);
  }

  EXPECT_EQ(broker.Queue("orders").ready, 3'000u);
  EXPECT_EQ(broker.Drain("orders"), Numbers(3'000));
  EXPECT_EQ(broker.Status().resident_bytes, 0u);
}

TEST(Memory, StaysWithinItsBudgetWhileABacklogIsDrained) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 500);
  const uint64_t budget = kSmall.window_messages * (sizeof(Message) + 180);

  for (int i = 0; i < 500; ++i) {
    const Delivery delivery = broker.Receive("orders").value();
    EXPECT_EQ(delivery.body, std::to_string(i));
    EXPECT_TRUE(broker.Ack(delivery).ok());
    ASSERT_LE(broker.Status().resident_bytes, budget);
  }
}

// What comes back at once, and each body is written again: to a later due time, or to another queue.
class ManyLargeBodies : public testing::Test {
 protected:
  static constexpr size_t kTurnBytes = 10'000;
  static constexpr size_t kLimit = 2 * kTurnBytes;
  ManyLargeBodies() { broker.Advance(1ms); }

  SessionId Hold() {
    const SessionId session = broker.Connect();
    broker.Subscribe(session, "orders", {.lease = 30s, .credit_messages = 100});
    for (int i = 0; i < 100; ++i) broker.Publish("orders", std::string(1'000, 'x'));
    EXPECT_EQ(broker.Queue("orders").leased, 100u);
    return session;
  }
  EngineFixture broker{{.backoff = 1h}, {.turn_commit_bytes = kTurnBytes}};
};

TEST_F(ManyLargeBodies, OfASessionThatEndsComeBackInSeveralCommits) {
  const SessionId session = Hold();
  broker.Disconnect(session);
  EXPECT_EQ(broker.Queue("orders").delayed, 100u);
  EXPECT_LT(broker.largest_commit(), kLimit);
}

TEST_F(ManyLargeBodies, ThatAreNackedTogetherComeBackInSeveralCommits) {
  const SessionId session = Hold();
  broker.SettleTags(session, {{1, 100}}, {.kind = SettleKind::kNack});
  EXPECT_EQ(broker.Queue("orders").delayed, 100u);
  EXPECT_EQ(broker.Log(session).settled_through, 1u);
  EXPECT_LT(broker.largest_commit(), kLimit);
}

TEST_F(ManyLargeBodies, WhoseLeasesEndTogetherComeBackInSeveralCommits) {
  Hold();
  broker.Advance(30s);
  EXPECT_EQ(broker.Queue("orders").delayed, 100u);
  EXPECT_LT(broker.largest_commit(), kLimit);
}

TEST_F(ManyLargeBodies, OfASessionThatEndsWhileItsNackIsCarriedOutComeBackOnce) {
  const SessionId session = Hold();
  broker.SettleTags(session, {{1, 100}}, {.kind = SettleKind::kNack});
  broker.Disconnect(session);
  EXPECT_EQ(broker.Queue("orders").delayed, 100u);
  EXPECT_EQ(broker.Queue("orders").leased, 0u);
}

TEST(Memory, OfLapsedMessagesOnDiskThatAreDeadLetteredByTagIsWrittenInSeveralCommits) {
  constexpr size_t kTurnBytes = 10'000;
  EngineFixture broker({}, {.window_messages = 20, .chunk_rows = 8, .turn_commit_bytes = kTurnBytes});
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Create("large", {.backoff = 1h, .dead_letter_queue = "dead"}).ok());
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "large", {.lease = 30s, .credit_messages = 100});
  for (int i = 0; i < 100; ++i) broker.Publish("large", std::string(1'000, 'x'));
  broker.Advance(30s);
  ASSERT_EQ(broker.Queue("large").delayed, 100u);

  broker.Hold(EngineFixture::Work::kAnswers);  // to arrive at once
  broker.SettleTags(session, {{1, 100}}, {.kind = SettleKind::kDeadLetter});
  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_EQ(broker.Queue("dead").ready, 100u);
  EXPECT_EQ(broker.Log(session).settled_through, 1u);
  EXPECT_THAT(broker.Log(session).settle_failures, IsEmpty());
  EXPECT_LT(broker.largest_commit(), 2 * kTurnBytes);
}

TEST(Memory, StaysWithinItsBudgetWithManyQueues) {
  EngineFixture broker({}, kSmall);
  for (int q = 0; q < 30; ++q) {
    ASSERT_TRUE(broker.Create("q" + std::to_string(q)).ok());
    broker.PublishMany("q" + std::to_string(q), 10);
    EXPECT_LE(broker.Status().resident_bytes, kSmall.window_messages * (sizeof(Message) + 180));
  }

  for (int q = 0; q < 30; ++q) EXPECT_EQ(broker.Drain("q" + std::to_string(q)), Numbers(10));
}

TEST(Memory, StaysWithinItsBudgetWithDelayedMessages) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 500, {.delay = 1h});

  EXPECT_LE(broker.Status().resident_bytes, kSmall.window_messages * (sizeof(Message) + 180));
  broker.Advance(1h);
  EXPECT_EQ(broker.Drain("orders"), Numbers(500));
}

TEST(Memory, HoldsWhatIsLeasedWhateverTheBudget) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 100);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});

  EXPECT_EQ(broker.Take(session).size(), 100u);
  EXPECT_EQ(broker.Queue("orders").leased, 100u);
  broker.SettleTags(session, {{1, 100}});

  EXPECT_EQ(broker.Status().resident_bytes, 0u);
}

class ScarceRoomForLeases : public testing::Test {
 protected:
  static constexpr size_t kLeased = 10;
  ScarceRoomForLeases() { broker.PublishMany("orders", 100); }
  uint64_t Leased() { return broker.Queue("orders").leased; }
  EngineFixture broker{{}, {.leased_messages = kLeased}};
};

TEST_F(ScarceRoomForLeases, ASessionGetsTheNextMessagesAsItSettles) {
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});
  const size_t first = broker.Take(session).size();
  EXPECT_LT(first, 2 * kLeased);

  for (uint64_t tag = 1; tag <= 100; ++tag) {
    broker.SettleTags(session, {{tag, tag}});
    ASSERT_LE(Leased(), first);
  }
  EXPECT_EQ(first + broker.Take(session).size(), 100u);
}

TEST_F(ScarceRoomForLeases, AnotherSessionGetsOneAtATime) {
  const SessionId holder = broker.Connect();
  broker.Subscribe(holder, "orders", {.credit_messages = 50});
  const SessionId other = broker.Connect();
  broker.Subscribe(other, "orders", {.credit_messages = 50});

  EXPECT_EQ(broker.Take(other).size(), 1u);
  broker.SettleTags(other, {{1, 1}});
  EXPECT_EQ(broker.Take(other).size(), 1u);
  EXPECT_GE(broker.Take(holder).size(), kLeased);
}

TEST_F(ScarceRoomForLeases, ASessionThatSubscribesAgainAndAgainGetsNoMore) {
  const SessionId session = broker.Connect();
  for (int i = 0; i < 20; ++i) {
    const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 5});
    broker.Send(Unsubscribe{.session = session, .subscription = subscription});
  }
  EXPECT_LT(Leased(), 2 * kLeased);
}

TEST_F(ScarceRoomForLeases, ReceiveCallsWaitAndAreToldWhy) {
  const std::vector<Delivery> held = broker.ReceiveMany("orders", {.messages_max = 50});
  ASSERT_GE(held.size(), kLeased);
  const auto refused = broker.Ask<ReceiveReply>(Receive{.queue = "orders", .messages_max = 1});
  EXPECT_EQ(ReasonOf(refused.status()), reason::kBrokerBusy) << refused.status();

  const CallId waiting = broker.Start(Receive{.queue = "orders", .messages_max = 1, .wait = 10s});
  EXPECT_FALSE(broker.IsAnswered(waiting));
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Ack(delivery).ok());
  ASSERT_TRUE(broker.IsAnswered(waiting));
  EXPECT_TRUE(broker.TakeAnswer(waiting).ok());
}

TEST_F(ScarceRoomForLeases, ComesBackWhenLeasesEnd) {
  broker.ReceiveMany("orders", {.messages_max = 50, .lease = 5s});
  const CallId waiting = broker.Start(Receive{.queue = "orders", .messages_max = 1, .wait = 10s});
  broker.Advance(5s);
  EXPECT_TRUE(broker.IsAnswered(waiting));
}

TEST_F(ScarceRoomForLeases, OtherQueuesAreServedAgainWhenASessionEnds) {
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.Publish("mail", "letter");
  const SessionId holder = broker.Connect();
  broker.Subscribe(holder, "orders", {.credit_messages = 50});
  const CallId waiting = broker.Start(Receive{.queue = "mail", .messages_max = 1, .wait = 10s});
  EXPECT_FALSE(broker.IsAnswered(waiting));

  broker.Disconnect(holder);
  EXPECT_TRUE(broker.IsAnswered(waiting));
}

TEST_F(ScarceRoomForLeases, AQueueThatWaitsCanBeDeleted) {
  const SessionId holder = broker.Connect();
  broker.Subscribe(holder, "orders", {.credit_messages = 50});
  EXPECT_EQ(broker.Delete("orders"), 100u);
  EXPECT_EQ(broker.Status().leased_bytes, 0u);
}

TEST(Memory, OfAQueueWithoutConsumersIsGivenUpFirst) {
  EngineFixture broker({}, kSmall);
  ASSERT_TRUE(broker.Create("busy").ok());
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "busy", {.credit_messages = 1});
  broker.Send(SetCredit{.session = session, .subscription = subscription, .messages = 0});
  broker.PublishMany("busy", 10);
  ASSERT_EQ(broker.Queue("busy").resident, 10u);

  broker.PublishMany("orders", 100);

  EXPECT_EQ(broker.Queue("busy").resident, 10u);
  EXPECT_LE(broker.Queue("orders").resident, 10u);
}

TEST(Memory, ReadsInChunksNotOneByOne) {
  EngineFixture broker({}, {.window_messages = 200, .chunk_rows = 50});
  broker.PublishMany("orders", 1'000);
  broker.Restart();

  EXPECT_EQ(broker.Drain("orders").size(), 1'000u);

  EXPECT_LE(broker.reads_started(), 1'000u / 25 + 2);
  EXPECT_LE(broker.rows_read(), 1'000u);  // each message once
}

TEST(Urgent, MessageOverASpilledBacklogIsDeliveredNext) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 1'000);

  broker.Publish("orders", "urgent", {.priority = 1});

  EXPECT_EQ(broker.Receive("orders")->body, "urgent");
}

TEST(Urgent, MessageIsDeliveredNextThoughNothingWasReadYet) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 100);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kReads);
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders", {.credit_messages = 1});
  EXPECT_THAT(broker.Take(session), IsEmpty());

  broker.Send(Publish{.session = session,
                      .call = {},
                      .queue = "orders",
                      .producer = {},
                      .first_sequence = 1,
                      .messages = {{.priority = 1, .headers = {}, .body = "urgent"}}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("urgent"));
}

TEST(Urgent, MessagesOfEveryPriorityInterleaveWithTheBacklogExactly) {
  EngineFixture broker({}, kSmall);
  std::vector<std::pair<uint32_t, int>> expected;  // (priority, number), to sort
  for (int i = 0; i < 600; ++i) {
    const auto priority = static_cast<uint32_t>(i * 7919 % 13);
    broker.Publish("orders", std::to_string(i), {.priority = priority});
    expected.emplace_back(priority, i);
    if (i % 3 != 0) continue;
    const Delivery delivery = broker.Receive("orders").value();
    const auto next = std::max_element(expected.begin(), expected.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    EXPECT_EQ(delivery.body, std::to_string(next->second));
    EXPECT_TRUE(broker.Ack(delivery).ok());
    expected.erase(next);
  }
}

// A read is a proposal: what happened since it looked comes first.

TEST(Read, DoesNotStrandAMessagePublishedWhileItWasOnItsWay) {
  EngineFixture broker({}, {.window_messages = 100, .chunk_rows = 100});
  broker.PublishMany("orders", 10);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});  // the read has looked
  broker.Publish("orders", "since");
  EXPECT_EQ(broker.Queue("orders").resident, 0u);

  broker.LetGo(EngineFixture::Work::kAnswers);

  std::vector<std::string> expected = Numbers(10);
  expected.push_back("since");
  EXPECT_EQ(BodiesOf(broker.Take(session)), expected);
}

TEST(Read, DoesNotBringBackAMessageAckedWhileItWasOnItsWay) {
  EngineFixture broker({}, {.window_messages = 100, .chunk_rows = 100});
  broker.PublishMany("orders", 3);
  const Delivery held = broker.Receive("orders").value();
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId ack = broker.Start(SettleTokens{.call = {}, .settlement = {}, .tokens = {held.token}});
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");  // its read looks before the ack is decided

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_TRUE(std::get<SettleReply>(*broker.TakeAnswer(ack)).results.at(0).ok());
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("1", "2"));
}

TEST(Read, OfAMessageThatWasDeliveredMeanwhileIsNotBelieved) {
  EngineFixture broker({}, {.window_messages = 100, .chunk_rows = 100});
  broker.Publish("orders", "a");
  const Delivery before = broker.Receive("orders").value();
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  const CallId ack = broker.Start(SettleTokens{.call = {}, .settlement = {}, .tokens = {before.token}});

  broker.LetGo(EngineFixture::Work::kAnswers);  // first it is delivered, then the token is looked at

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("a"));
  EXPECT_EQ(ReasonOf(std::get<SettleReply>(*broker.TakeAnswer(ack)).results.at(0)), reason::kLeaseLost);
}

TEST(Read, ThatAnEvictionOvertookIsRepeated) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 50);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 1});
  broker.Send(Unsubscribe{.session = session, .subscription = subscription});
  broker.PublishMany("orders", 40, {.priority = 1});  // into the window, and out of it again

  broker.LetGo(EngineFixture::Work::kAnswers);

  std::vector<std::string> expected = Numbers(40);
  for (const std::string& number : Numbers(50)) expected.push_back(number);
  EXPECT_EQ(broker.Drain("orders"), expected);
}

TEST(Restart, LoadsQueuesAndNotMessages) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("orders", 1'000);
  broker.PublishMany("mail", 1'000, {.delay = 1h});
  broker.PublishMany("mail", 100, {.ttl = 1h});

  broker.Restart();

  EXPECT_LE(broker.rows_loaded(), 2 * 2u + 1u);  // definitions, ledgers, the last queue number
  EXPECT_EQ(broker.Queue("orders").ready, 1'000u);
  EXPECT_EQ(broker.Queue("mail").delayed, 1'000u);
  EXPECT_EQ(broker.Status().messages, 2'100u);
  // Of the hints, the first chunk: it may be due already.
  EXPECT_LE(broker.reads_started(), 1u);
  EXPECT_EQ(broker.Status().resident_bytes, 0u);
}

TEST(Restart, InTheMiddleOfADrainLosesNothingAndRepeatsOnlyWhatWasLeased) {
  EngineFixture broker({}, kSmall);
  broker.PublishMany("orders", 100);
  std::vector<std::string> acked;
  for (int i = 0; i < 30; ++i) {
    const Delivery delivery = broker.Receive("orders").value();
    EXPECT_TRUE(broker.Ack(delivery).ok());
    acked.push_back(delivery.body);
  }
  broker.Receive("orders", 1h);

  broker.Restart();

  for (const std::string& body : broker.Drain("orders")) acked.push_back(body);
  EXPECT_EQ(acked, Numbers(100));
}

TEST(Restart, AgainAndAgainWithReturnsOfEveryKind) {
  EngineFixture broker({.attempts_max = 0}, kSmall);
  broker.PublishMany("orders", 60);
  for (int life = 0; life < 5; ++life) {
    EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
    EXPECT_TRUE(broker.Nack(broker.Receive("orders").value(), 1s).ok());
    EXPECT_TRUE(broker.Release(broker.Receive("orders").value()).ok());
    broker.Receive("orders", 1h);
    broker.Restart(10s);
  }

  EXPECT_EQ(broker.Drain("orders"), Numbers(60));
  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kLocator), 0u);
}

TEST(Status, TellsWhatTheEngineHolds) {
  EngineFixture broker;
  broker.Publish("orders", "12345");
  const SessionId session = broker.Connect(ProducerId(1));
  broker.Subscribe(session, "orders");

  const EngineStatus status = broker.Status();

  EXPECT_EQ(status.epoch, broker.epoch());
  EXPECT_EQ(status.queues, 1u);
  EXPECT_EQ(status.messages, 1u);
  EXPECT_EQ(status.bytes, 5u);
  EXPECT_GE(status.resident_bytes, sizeof(Message));
  ASSERT_EQ(status.sessions, 1u);
  EXPECT_EQ(status.session_list.at(0).client_name, "a test");
  EXPECT_EQ(status.session_list.at(0).subscriptions, 1u);
  EXPECT_EQ(status.session_list.at(0).unsettled, 1u);
  EXPECT_EQ(status.publish_to_deliver.count(), 1u);
}

}  // namespace
}  // namespace baton
