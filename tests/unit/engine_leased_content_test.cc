// What is in a leased message leaves memory when leases hold more than their share: nobody notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "server/engine/message_rows.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class LeasedInABusyBroker : public testing::TestWithParam<Durability> {
 protected:
  static constexpr size_t kBody = 64u << 10;
  static constexpr size_t kBudget = 1u << 20;

  LeasedInABusyBroker() {
    EXPECT_TRUE(broker.Create("dead", {.durability = GetParam()}).ok());
    EXPECT_TRUE(
        broker.Create("jobs", {.durability = GetParam(), .attempts_max = 3, .dead_letter_queue = "dead"})
            .ok());
  }
  static std::string Body(int number) { return std::to_string(number) + std::string(kBody, 'x'); }
  // So many sessions, each with one message of "jobs".
  void Hold(int count, const PublishOptions& options = {}) {
    for (int i = 0; i < count; ++i) {
      ids.push_back(broker.Publish("jobs", Body(i), options));
      sessions.push_back(broker.Connect());
      broker.Subscribe(sessions.back(), "jobs", {.lease = 30s, .credit_messages = 1});
    }
    broker.Advance(options.delay);
    for (const SessionId session : sessions) held.push_back(broker.Take(session).at(0));
    EXPECT_EQ(broker.Queue("jobs").leased, static_cast<uint64_t>(count));
  }
  std::vector<MessageInfo> ListAll() {
    std::vector<MessageInfo> all;
    for (MessagePage page = broker.List("jobs", MessageState::kReady);;
         page = broker.List("jobs", MessageState::kReady, 100, page.after)) {
      all.insert(all.end(), page.messages.begin(), page.messages.end());
      if (!page.after.has_value()) return all;
    }
  }
  void ExpectItLeft() { EXPECT_LE(broker.Status().leased_bytes, 2 * kBody + 100 * 1'000); }

  EngineFixture broker{{}, {.window_bytes = kBudget, .leased_messages = 100}};
  std::vector<SessionId> sessions;
  std::vector<MessageId> ids;
  std::vector<Delivery> held;
};
INSTANTIATE_TEST_SUITE_P(Of, LeasedInABusyBroker, testing::Values(Durability::kDurable, Durability::kMemory),
                         [](const auto& info) {
                           return info.param == Durability::kMemory ? "MemoryQueues" : "DurableQueues";
                         });

TEST_P(LeasedInABusyBroker, ManyLargeMessagesTakeLittle) {
  Hold(100);
  ExpectItLeft();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(held[static_cast<size_t>(i)].body, Body(i));
  const uint64_t reads = broker.reads_started();
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Ack(delivery).ok());
  EXPECT_EQ(broker.reads_started(), reads);
  EXPECT_EQ(broker.Queue("jobs").bytes, 0u);
  EXPECT_EQ(broker.Status().resident_bytes, 0u);
}

TEST_P(LeasedInABusyBroker, TheyComeBackWholeWhenTheirLeasesEnd) {
  Hold(50);
  for (const SessionId session : sessions) broker.Disconnect(session);
  broker.Advance(1s);
  EXPECT_EQ(broker.Queue("jobs").ready, 50u);
  for (int i = 0; i < 50; ++i) {
    const Delivery again = broker.Receive("jobs", 30s).value();
    EXPECT_EQ(again.body, Body(i));
    EXPECT_EQ(again.attempt, 2u);
    EXPECT_TRUE(broker.Ack(again).ok());
  }
}

TEST_P(LeasedInABusyBroker, TheyComeBackWholeWhenTheirConsumersAreSilent) {
  Hold(50);
  for (const SessionId session : sessions)
    broker.Send(Unsubscribe{.session = session, .subscription = SubscriptionId(1)});
  broker.Advance(31s);
  EXPECT_EQ(broker.Queue("jobs").leased, 0u);
  EXPECT_EQ(broker.Drain("jobs").size(), 50u);
}

TEST_P(LeasedInABusyBroker, TheyAreDelayedWholeByANack) {
  Hold(20);
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Nack(delivery, 1h, "later").ok());
  EXPECT_EQ(broker.Queue("jobs").delayed, 20u);
  for (const SessionId session : sessions) broker.Disconnect(session);
  broker.Advance(1h);
  const auto bodies = broker.Drain("jobs");
  ASSERT_EQ(bodies.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(bodies[static_cast<size_t>(i)], Body(i));
}

TEST_P(LeasedInABusyBroker, TheyAreGivenUpWhole) {
  Hold(20);
  for (const SessionId session : sessions)
    broker.SettleTags(session, {{1, 1}}, {.kind = SettleKind::kDeadLetter, .reason = "unfit"});
  for (const SessionId session : sessions) EXPECT_EQ(broker.Log(session).settled_through, 1u);
  const auto bodies = broker.Drain("dead");
  ASSERT_EQ(bodies.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(bodies[static_cast<size_t>(i)], Body(i));
}

TEST_P(LeasedInABusyBroker, TheyAreReleasedInTheirPlace) {
  Hold(20);
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Extend(delivery, 20s).ok());
  for (const SessionId session : sessions)
    broker.Send(Unsubscribe{.session = session, .subscription = SubscriptionId(1)});
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Release(delivery).ok());
  const auto bodies = broker.Drain("jobs");
  ASSERT_EQ(bodies.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(bodies[static_cast<size_t>(i)], Body(i));
}

TEST_P(LeasedInABusyBroker, TheyAreShownWhole) {
  Hold(20);
  for (int i = 0; i < 20; ++i) {
    const auto shown = broker.Get(ids[static_cast<size_t>(i)]);
    ASSERT_TRUE(shown.ok()) << shown.status();
    EXPECT_EQ(shown->body, Body(i));
    EXPECT_EQ(shown->state, MessageState::kLeased);
  }
  ExpectItLeft();
  const std::vector<MessageInfo> listed = ListAll();
  ASSERT_EQ(listed.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(listed[static_cast<size_t>(i)].body_bytes, Body(i).size());
    EXPECT_EQ(listed[static_cast<size_t>(i)].state, MessageState::kLeased);
  }
}

TEST_P(LeasedInABusyBroker, ThoseThatWereDelayedLeaveMemoryToo) {
  Hold(50, {.delay = 10s});
  ExpectItLeft();
  EXPECT_EQ(ListAll().size(), 50u);
  EXPECT_EQ(broker.Queue("jobs").leased, 50u);
  for (const SessionId session : sessions) broker.Disconnect(session);
  broker.Advance(1s);
  const auto bodies = broker.Drain("jobs");
  ASSERT_EQ(bodies.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(bodies[static_cast<size_t>(i)], Body(i));
}

TEST_P(LeasedInABusyBroker, AnAckIsInTimeWhileTheyAreReadToComeBack) {
  Hold(10);
  broker.Hold(EngineFixture::Work::kReads);
  broker.Advance(30s);  // their leases end: all are looked for
  EXPECT_EQ(broker.Queue("jobs").leased, 10u);
  for (const Delivery& delivery : held) EXPECT_TRUE(broker.Ack(delivery).ok());
  broker.LetGo(EngineFixture::Work::kReads);
  EXPECT_EQ(broker.Queue("jobs").leased, 0u);
  EXPECT_EQ(broker.Queue("jobs").ready, 0u);
}

TEST_P(LeasedInABusyBroker, APurgeTakesThemWhileTheyAreRead) {
  Hold(10);
  broker.Hold(EngineFixture::Work::kAnswers);
  for (const SessionId session : sessions) broker.Disconnect(session);
  EXPECT_EQ(broker.Purge("jobs"), 10u);
  broker.LetGo(EngineFixture::Work::kAnswers);
  EXPECT_EQ(broker.Queue("jobs").ready, 0u);
  EXPECT_EQ(broker.Status().resident_bytes, 0u);
}

TEST_P(LeasedInABusyBroker, OneThatCannotBeReadStaysWhereItIsAndIsTold) {
  Hold(2);
  broker.store().Damage(BirthKeyOf(ids[0]));
  EXPECT_EQ(broker.Get(ids[0]).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(broker.Nack(held[0]).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(broker.Nack(held[1], 0s).ok());
  broker.Advance(1min);
  EXPECT_EQ(broker.Queue("jobs").leased, 1u);  // for ever, or until it is acked or purged
  EXPECT_EQ(broker.Queue("jobs").ready, 1u);
  EXPECT_THAT(broker.damage(), testing::Not(testing::IsEmpty()));
  EXPECT_TRUE(broker.Ack(held[0]).ok());
  EXPECT_EQ(broker.Queue("jobs").leased, 0u);
}

}  // namespace
}  // namespace baton
