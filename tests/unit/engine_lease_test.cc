// A lease: exclusive until it ends, given back when its holder goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "server/engine/session_state.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Lease, ThatEndsIsDeliveredAgainAsTheNextAttempt) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery first = broker.Receive("orders").value();

  broker.Advance(30s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());  // still held
  broker.Advance(1ms);
  const Delivery second = broker.Receive("orders").value();

  EXPECT_EQ(first.attempt, 1u);
  EXPECT_FALSE(first.redelivered);
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_TRUE(second.redelivered);
  EXPECT_EQ(second.token.id, first.token.id);
  EXPECT_EQ(broker.Ack(first).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Lease, SaysWhenItEnds) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  broker.Publish("orders", "b");

  EXPECT_EQ(broker.Receive("orders")->lease_end, broker.now() + 30s);     // the queue's
  EXPECT_EQ(broker.Receive("orders", 5s)->lease_end, broker.now() + 5s);  // the call's own
}

TEST(Lease, OfASubscriptionIsItsOwnOrTheQueues) {
  EngineFixture broker({.lease = 7s});
  const SessionId session = broker.Connect();
  const SubscriptionId plain = broker.Subscribe(session, "orders");
  const SubscriptionId longer = broker.Subscribe(session, "orders", {.lease = 60s});

  EXPECT_EQ(broker.Log(session).subscribed.at(plain).value(), 7s);
  EXPECT_EQ(broker.Log(session).subscribed.at(longer).value(), 60s);
}

TEST(Lease, CanBeExtendedAgainAndAgain) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();

  for (int i = 0; i < 5; ++i) {
    broker.Advance(29s);
    EXPECT_TRUE(broker.Extend(held, 30s).ok());
  }

  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_TRUE(broker.Ack(held).ok());
}

TEST(Lease, ExtendedRunsFromNowAndMayBecomeShorter) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();

  EXPECT_TRUE(broker.Extend(held, 2s).ok());
  broker.Advance(2s - 1ms);
  EXPECT_FALSE(broker.Receive("orders").has_value());
  broker.Advance(1ms);

  EXPECT_EQ(broker.Receive("orders")->attempt, 2u);
}

TEST(Lease, ExtendedWithoutATimeGetsTheQueuesOrTheSubscriptions) {
  EngineFixture broker({.lease = 10s});
  broker.Publish("orders", "a");
  broker.Publish("orders", "b");
  const Delivery by_call = broker.Receive("orders", 1s).value();
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.lease = 4s});
  const Delivery by_session = broker.Take(session).at(0);

  EXPECT_TRUE(broker.Extend(by_call, 0s).ok());
  broker.SettleTags(session, {{by_session.tag, by_session.tag}}, {.kind = SettleKind::kExtend});

  EXPECT_EQ(broker.Get(by_call.token.id)->lease_end, broker.now() + 10s);
  EXPECT_EQ(broker.Get(by_session.token.id)->lease_end, broker.now() + 4s);
}

TEST(Lease, ThatEndedCannotBeExtended) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Advance(30s);

  const absl::Status status = broker.Extend(held, 30s);

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), reason::kLeaseLost);
}

TEST(Lease, IsReleasedWithoutAnAttemptAndTheMessageKeepsItsPlace) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const Delivery first = broker.Receive("orders").value();

  EXPECT_TRUE(broker.Release(first).ok());

  const Delivery again = broker.Receive("orders").value();
  EXPECT_EQ(again.body, "0");
  EXPECT_EQ(again.attempt, 1u);
  EXPECT_FALSE(again.redelivered);
}

TEST(Lease, GoesBackAtOnceWhenTheSessionEnds) {
  EngineFixture broker({.lease = 1h});
  broker.PublishMany("orders", 3);
  const SessionId dying = broker.Connect();
  broker.Subscribe(dying, "orders");
  ASSERT_THAT(BodiesOf(broker.Take(dying)), ElementsAre("0", "1", "2"));

  broker.Disconnect(dying);

  const SessionId next = broker.Connect();
  broker.Subscribe(next, "orders");
  const std::vector<Delivery> again = broker.Take(next);
  EXPECT_THAT(BodiesOf(again), ElementsAre("0", "1", "2"));
  for (const Delivery& delivery : again) EXPECT_EQ(delivery.attempt, 2u);
}

TEST(Lease, OfACallOutlivesEverySession) {
  EngineFixture broker({.lease = 1h});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.Disconnect(session);

  EXPECT_EQ(broker.Queue("orders").leased, 1u);
  EXPECT_TRUE(broker.Ack(held).ok());
}

TEST(Lease, SettledByTheSessionDoesNotGoBackWhenItEnds) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  const std::vector<Delivery> held = broker.Take(session);
  broker.SettleTags(session, {{held.at(0).tag, held.at(0).tag}});

  broker.Disconnect(session);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("1"));
}

TEST(Lease, ThatEndedAndWentToAnotherDoesNotGoBackWithItsFirstHolder) {
  EngineFixture broker({.lease = 30s});
  broker.Publish("orders", "a");
  const SessionId slow = broker.Connect();
  broker.Subscribe(slow, "orders", {.credit_messages = 1});
  broker.Advance(30s);
  const Delivery second = broker.Receive("orders", 1h).value();

  broker.Disconnect(slow);

  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_TRUE(broker.Ack(second).ok());
}

TEST(Lease, DoesNotSurviveTheBrokerAndNoAttemptIsCounted) {
  EngineFixture broker({.lease = 1h});
  broker.Publish("orders", "a");
  broker.Receive("orders");

  broker.Restart();

  const Delivery again = broker.Receive("orders").value();
  EXPECT_EQ(again.attempt, 1u);
  EXPECT_TRUE(again.redelivered);  // it may have been delivered in an earlier life
}

TEST(Lease, OfManyMessagesEndsEachAtItsTime) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  broker.Receive("orders", 3s);
  broker.Receive("orders", 1s);
  broker.Receive("orders", 2s);

  broker.Advance(1s);
  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kReady)), ElementsAre("0", "1", "2"));
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  EXPECT_EQ(broker.Receive("orders", 1h)->body, "1");
  broker.Advance(1s);
  EXPECT_EQ(broker.Receive("orders", 1h)->body, "2");
  broker.Advance(1s);
  EXPECT_EQ(broker.Receive("orders", 1h)->body, "0");
}

TEST(Lease, ByTagIsSettledInRanges) {
  EngineFixture broker;
  broker.PublishMany("orders", 6);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  ASSERT_EQ(broker.Take(session).size(), 6u);

  const uint64_t settlement = broker.SettleTags(session, {{1, 3}, {5, 5}});

  EXPECT_EQ(broker.Log(session).settled_through, settlement);
  EXPECT_THAT(broker.Log(session).settle_failures, IsEmpty());
  EXPECT_EQ(broker.Queue("orders").leased, 2u);
  broker.Disconnect(session);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("3", "5"));
}

TEST(Lease, ByTagIsSettledOnceAndEachTagIsAnsweredForItself) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  broker.SettleTags(session, {{2, 2}});

  const uint64_t second = broker.SettleTags(session, {{1, 3}});

  const SessionLog& log = broker.Log(session);
  EXPECT_EQ(log.settled_through, second);
  ASSERT_EQ(log.settle_failures.size(), 1u);
  const SettleFailure& failure = log.settle_failures[0];
  EXPECT_EQ(failure.settlement, second);
  EXPECT_EQ(failure.tag, 2u);
  EXPECT_EQ(failure.further, 0u);
  EXPECT_EQ(failure.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(failure.status), reason::kAlreadySettled);
  EXPECT_EQ(broker.Queue("orders").bytes, 0u);  // 1 and 3 are gone
}

TEST(Lease, ByTagThatWasSettledBeforeIsAnsweredInRuns) {
  EngineFixture broker;
  broker.PublishMany("orders", 1'000);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 1'000});
  broker.SettleTags(session, {{1, 499}, {501, 1'000}});

  broker.SettleTags(session, {{1, 1'000}});

  const auto& failures = broker.Log(session).settle_failures;
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].tag, 1u);
  EXPECT_EQ(failures[0].further, 498u);
  EXPECT_EQ(failures[1].tag, 501u);
  EXPECT_EQ(failures[1].further, 499u);
  EXPECT_EQ(broker.Queue("orders").bytes, 0u);
}

TEST(Lease, ByATagThatWasNeverDeliveredEndsItsSessionOnly) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  const SessionId other = broker.Connect();
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = 2});

  broker.SettleTags(session, {{1, 1}, {2, 60'000}});
  broker.SettleTags(session, {{2, 2}});  // what it says then is not heard

  ASSERT_TRUE(broker.Log(session).end.has_value());
  EXPECT_EQ(ReasonOf(*broker.Log(session).end), reason::kProtocolViolation);
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  EXPECT_EQ(broker.Queue("orders").leased, 2u);
  EXPECT_FALSE(broker.Log(other).end.has_value());
  broker.Disconnect(session);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1", "2"));
}

TEST(Lease, ByTagMayBeSettledInSeveralParts) {
  EngineFixture broker;
  broker.PublishMany("orders", 6);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");

  broker.Send(SettleTags{.session = session, .settlement = {}, .tags = {{1, 2}}, .goes_on = true});
  broker.Send(SettleTags{.session = session, .settlement = {}, .tags = {{2, 3}}, .goes_on = true});
  EXPECT_EQ(broker.Log(session).settled_through, 0u);
  broker.Send(SettleTags{.session = session, .settlement = {}, .tags = {{4, 4}}});

  EXPECT_EQ(broker.Log(session).settled_through, 1u);
  EXPECT_EQ(broker.Log(session).settle_failures.size(), 1u);
  EXPECT_EQ(broker.Queue("orders").leased, 2u);
}

// A session that held much is gone: what it held goes back in several commits.
TEST(Lease, OfASessionThatIsGoneGoBackInSharesOfATurn) {
  constexpr uint32_t kHeld = 5'000;
  EngineFixture broker;
  broker.PublishMany("orders", kHeld);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders", {.credit_messages = kHeld});
  ASSERT_EQ(broker.Queue("orders").leased, kHeld);

  broker.Disconnect(session);

  EXPECT_EQ(broker.Queue("orders").leased, 0u);
  EXPECT_EQ(broker.Queue("orders").ready, kHeld);
  EXPECT_EQ(broker.Status().unsettled_bytes, 0u);
  EXPECT_LT(broker.largest_commit(), kHeld * 40u);  // a row of 40 bytes and more for each that went back
}

// Leases that end and are given out again to who settles nothing: what is known of each takes memory.
TEST(Lease, ThatEndedAndIsNotSettledCountsForItsSessionWithinWhatIsFree) {
  EngineFixture broker({.attempts_max = 0}, {.unsettled = 100});
  broker.PublishMany("orders", 10);
  const SessionId idle = broker.Connect();
  broker.Subscribe(idle, "orders", {.lease = 100ms, .credit_messages = 10'000});
  for (int i = 0; i < 50; ++i) broker.Advance(100ms);
  const size_t first = broker.Take(idle).size();
  EXPECT_LE(first, 51u) << "one alone takes half";
  EXPECT_LE(broker.Status().unsettled_bytes, 100 * kUnsettledBytes);

  const SessionId late = broker.Connect();
  broker.Subscribe(late, "orders", {.credit_messages = 5});
  for (int i = 0; i < 3; ++i) broker.Advance(100ms);
  EXPECT_EQ(broker.Take(late).size(), 5u) << "whoever comes late finds room";

  broker.SettleTags(idle, {{1, first}}, {.kind = SettleKind::kRelease});
  EXPECT_FALSE(broker.Take(idle).empty()) << "what is settled makes room";
  broker.Disconnect(idle);
  broker.Disconnect(late);
  EXPECT_EQ(broker.Status().unsettled_bytes, 0u);
}

TEST(Lease, OfASubscriptionThatEndedIsNotCountedForTheNextOneOfItsName) {
  EngineFixture broker;
  broker.PublishMany("orders", 4);
  const SessionId session = broker.Connect();
  const SubscriptionId subscription = broker.Subscribe(session, "orders", {.credit_messages = 2});
  broker.Send(Unsubscribe{.session = session, .subscription = subscription});
  broker.Send(Subscribe{.session = session,
                        .subscription = subscription,
                        .queue = "orders",
                        .lease = {},
                        .credit_messages = 2});
  ASSERT_EQ(broker.Take(session).size(), 4u);

  broker.Publish("orders", "more");
  broker.SettleTags(session, {{1, 2}});  // of the first one
  EXPECT_TRUE(broker.Take(session).empty());
  broker.SettleTags(session, {{3, 3}});
  EXPECT_EQ(BodiesOf(broker.Take(session)), std::vector<std::string>{"more"});
}

}  // namespace
}  // namespace baton
