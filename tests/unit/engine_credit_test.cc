// Credit: how much a subscription may have unsettled, in messages and in bytes; and whose turn it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Credit, InMessagesBoundsWhatIsUnsettled) {
  EngineFixture broker;
  broker.PublishMany("orders", 5);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 2});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("0", "1"));

  broker.SettleTags(session, {{1, 1}});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("2"));
  broker.SettleTags(session, {{2, 3}}, {.kind = SettleKind::kNack, .delay = 1h, .reason = {}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("3", "4"));
}

TEST(Credit, IsNotGivenBackByAnExtend) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 1});
  ASSERT_EQ(broker.Take(session).size(), 1u);

  broker.SettleTags(session, {{1, 1}}, {.kind = SettleKind::kExtend, .lease = 1min});

  EXPECT_THAT(broker.Take(session), IsEmpty());
}

TEST(Credit, IsNotGivenBackByALeaseThatEndsForTheClientStillHasTheMessage) {
  EngineFixture broker({.lease = 10s, .backoff = 1h});
  broker.PublishMany("orders", 2);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 1});
  ASSERT_EQ(broker.Take(session).size(), 1u);
  broker.Advance(10s);
  EXPECT_THAT(broker.Take(session), IsEmpty());

  broker.SettleTags(session, {{1, 1}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("1"));
}

TEST(Credit, InBytesBoundsBodiesAndHeaders) {
  EngineFixture broker;
  for (const char* body : {"aaaa", "bbbb", "cccc"}) broker.Publish("orders", body, {.headers = "h"});
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_bytes = 10});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("aaaa", "bbbb"));

  broker.SettleTags(session, {{1, 1}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("cccc"));
}

TEST(Credit, InBytesLetsOneLargerMessageStandAlone) {
  EngineFixture broker;
  broker.Publish("orders", "small");
  broker.Publish("orders", std::string(100, 'x'));
  broker.Publish("orders", "next");
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_bytes = 10});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("small"));

  broker.SettleTags(session, {{1, 1}});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre(std::string(100, 'x')));
  broker.SettleTags(session, {{2, 2}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("next"));
}

TEST(Credit, OfOneWhoLacksBytesForALargeMessageIsStillThereForASmallOne) {
  EngineFixture broker;
  const SessionId narrow = broker.Connect();
  broker.Subscribe(narrow, "orders", {.credit_messages = 10, .credit_bytes = 20});
  broker.Publish("orders", "first");
  ASSERT_EQ(broker.Take(narrow).size(), 1u);
  const SessionId wide = broker.Connect();
  broker.Subscribe(wide, "orders", {.credit_messages = 1});

  broker.Publish("orders", std::string(100, 'x'));
  ASSERT_EQ(broker.Take(wide).size(), 1u);  // it has no credit now
  broker.Publish("orders", "second");

  EXPECT_THAT(BodiesOf(broker.Take(narrow)), ElementsAre("second"));
}

TEST(Credit, CanBeRaisedLoweredAndTakenAway) {
  EngineFixture broker;
  broker.PublishMany("orders", 10);
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 1});
  const auto set = [&](uint32_t messages) {
    broker.Send(SetCredit{.session = session, .subscription = subscription, .messages = messages});
  };
  EXPECT_EQ(broker.Take(session).size(), 1u);

  set(3);
  EXPECT_EQ(broker.Take(session).size(), 2u);
  set(0);
  broker.SettleTags(session, {{1, 3}});
  EXPECT_THAT(broker.Take(session), IsEmpty());
  set(2);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("3", "4"));
}

TEST(Credit, InBytesCanBeRaised) {
  EngineFixture broker;
  for (const char* body : {"aaaa", "bbbb", "cccc"}) broker.Publish("orders", body);
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_bytes = 4});
  ASSERT_EQ(broker.Take(session).size(), 1u);

  broker.Send(SetCredit{.session = session, .subscription = subscription, .messages = 10, .bytes = 12});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("bbbb", "cccc"));
}

TEST(Subscription, EndedDeliversNothingMoreAndWhatItHasCanBeSettled) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 1});
  ASSERT_EQ(broker.Take(session).size(), 1u);

  broker.Send(Unsubscribe{.session = session, .subscription = subscription});
  EXPECT_TRUE(broker.Log(session).ended.at(subscription).ok());
  broker.SettleTags(session, {{1, 1}});

  EXPECT_THAT(broker.Take(session), IsEmpty());
  EXPECT_THAT(broker.Log(session).settle_failures, IsEmpty());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("1", "2"));
}

TEST(Subscription, MadeAgainUnderItsNumberHasItsWholeCredit) {
  EngineFixture broker;
  broker.PublishMany("orders", 4);
  const SessionId session = broker.Connect();
  const Subscribe same{
      .session = session, .subscription = SubscriptionId(7), .queue = "orders", .credit_messages = 1};
  broker.Send(same);
  ASSERT_EQ(broker.Take(session).size(), 1u);
  broker.Send(Unsubscribe{.session = session, .subscription = SubscriptionId(7)});

  broker.Send(same);
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("1"));
  broker.SettleTags(session, {{1, 1}});  // of the first subscription: no credit of the second comes back
  EXPECT_THAT(broker.Take(session), IsEmpty());
  broker.SettleTags(session, {{2, 2}});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("2"));
  broker.SettleTags(session, {{3, 3}});

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("3"));
}

TEST(Subscription, MadeAgainAfterItsQueueWasMadeAgainHasItsWholeCredit) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const SessionId session = broker.Connect();
  const Subscribe same{
      .session = session, .subscription = SubscriptionId(7), .queue = "orders", .credit_messages = 2};
  broker.Send(same);
  ASSERT_EQ(broker.Take(session).size(), 2u);
  broker.Delete("orders");
  ASSERT_TRUE(broker.Create("orders").ok());
  broker.Send(same);

  broker.SettleTags(session, {{1, 2}});
  broker.PublishMany("orders", 3);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("0", "1"));
}

TEST(Subscription, UnderANumberInUseIsRefused) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders");

  broker.Send(Subscribe{.session = session, .subscription = subscription, .queue = "orders"});

  EXPECT_EQ(ReasonOf(broker.Log(session).subscribed.at(subscription).status()), reason::kSubscriptionExists);
}

// A client may ask for many in a frame, and end and make again what it likes: the engine counts those there
// are.
TEST(Subscription, OverTheLimitOfASessionIsRefused) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  for (size_t i = 0; i < kSubscriptionsPerSessionMax; ++i) {
    const SubscriptionId made = broker.Subscribe(session, "orders");
    ASSERT_TRUE(broker.Log(session).subscribed.at(made).ok());
  }
  const SubscriptionId over = broker.Subscribe(session, "orders");
  EXPECT_EQ(ReasonOf(broker.Log(session).subscribed.at(over).status()), reason::kSessionLimit);
  EXPECT_EQ(broker.Queue("orders").subscriptions, kSubscriptionsPerSessionMax);
}

TEST(Subscription, ToAQueueThatDoesNotExistIsRefused) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "nowhere");

  EXPECT_EQ(ReasonOf(broker.Log(session).subscribed.at(subscription).status()), reason::kQueueNotFound);
}

TEST(Fairness, GivesEachSubscriptionItsTurn) {
  EngineFixture broker;
  const SessionId session = broker.Connect();
  std::vector<SubscriptionId> subscriptions;
  for (int i = 0; i < 3; ++i)
    subscriptions.push_back(broker.Subscribe(session, "orders", {.credit_messages = 100}));

  broker.PublishMany("orders", 30);

  std::map<SubscriptionId, int> counts;
  for (const Delivery& delivery : broker.Take(session)) ++counts[delivery.subscription];
  for (const SubscriptionId subscription : subscriptions) EXPECT_EQ(counts[subscription], 10);
}

TEST(Fairness, HoldsWhenABacklogIsHandedOut) {
  EngineFixture broker;
  broker.Pause("orders");
  broker.PublishMany("orders", 30);
  std::vector<SessionId> sessions;
  for (int i = 0; i < 3; ++i) {
    sessions.push_back(broker.Connect());
    broker.Subscribe(sessions.back(), "orders", {.credit_messages = 100});
  }

  broker.Resume("orders");

  for (const SessionId session : sessions) EXPECT_EQ(broker.Take(session).size(), 10u);
}

TEST(Fairness, PassesOverWhoHasNoCreditAndComesBackToThem) {
  EngineFixture broker;
  const SessionId small = broker.Connect();
  broker.Subscribe(small, "orders", {.credit_messages = 1});
  const SessionId large = broker.Connect();
  broker.Subscribe(large, "orders", {.credit_messages = 100});

  broker.PublishMany("orders", 10);
  EXPECT_EQ(broker.Take(small).size(), 1u);
  EXPECT_EQ(broker.Take(large).size(), 9u);
  broker.SettleTags(small, {{1, 1}});
  broker.PublishMany("orders", 4);

  EXPECT_EQ(broker.Take(small).size(), 1u);
  EXPECT_EQ(broker.Take(large).size(), 3u);
}

TEST(Fairness, IncludesWaitingCalls) {
  EngineFixture broker;
  const CallId first = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 1min});
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 100});
  const CallId second = broker.Start(Receive{.call = {}, .queue = "orders", .bytes_max = 100, .wait = 1min});

  for (const char* body : {"a", "b", "c", "d"}) broker.Publish("orders", body);

  EXPECT_EQ(std::get<ReceiveReply>(*broker.TakeAnswer(first)).messages.at(0).body, "a");
  EXPECT_EQ(std::get<ReceiveReply>(*broker.TakeAnswer(second)).messages.at(0).body, "c");
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("b", "d"));
}

TEST(Fairness, DoesNotLetOneQueueStarveAnother) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  const SessionId session = broker.Connect();
  const SubscriptionId orders = broker.Subscribe(session, "orders", {.credit_messages = 5});
  const SubscriptionId mail = broker.Subscribe(session, "mail", {.credit_messages = 5});

  broker.PublishMany("orders", 100);
  broker.PublishMany("mail", 3);

  std::map<SubscriptionId, int> counts;
  for (const Delivery& delivery : broker.Take(session)) ++counts[delivery.subscription];
  EXPECT_EQ(counts[orders], 5);
  EXPECT_EQ(counts[mail], 3);
}

}  // namespace
}  // namespace baton
