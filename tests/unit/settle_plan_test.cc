// What a settlement does, as a table: of the delivery's standing, of its kind, of time.
#include "server/engine/settle_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace baton {
namespace {

constexpr SettleKind kKinds[] = {SettleKind::kAck, SettleKind::kNack, SettleKind::kRelease,
                                 SettleKind::kExtend, SettleKind::kDeadLetter};
constexpr Epoch kEpoch(7);

class SettlePlans : public testing::Test {
 protected:
  SettlePlans() {
    queue.clock_steps = &clock_steps;
    message.queue = &queue;
    message.seq = message.id.seq = Seq(5);
    message.attempts = 2;
    token = {.epoch = kEpoch, .delivery = DeliveryNumber(9), .attempt = 3, .id = message.id};
  }
  void Lease(uint64_t number) {
    message.state = Message::State::kLeased;
    message.lease.number = DeliveryNumber(number);
  }
  // Its lease has ended, as a failed attempt.
  void LetLapse() {
    message.state = Message::State::kReady;
    message.attempts = 3;
    message.last_delivery = DeliveryNumber(9);
  }
  SettlePlan Plan(SettleKind kind) { return PlanSettlement(&message, token, kind, kEpoch, now); }
  static std::string Refusal(const SettlePlan& plan) {
    return plan.refusal == nullptr ? "" : ReasonOf(*plan.refusal);
  }

  const Instant now = InstantFromMicros(1'000'000);
  ClockSteps clock_steps;
  Queue queue;
  Message message;
  LeaseToken token;
};

TEST_F(SettlePlans, OfALeaseThatGoesOn) {
  Lease(9);
  const SettleArrow arrows[] = {SettleArrow::kAck, SettleArrow::kReturn, SettleArrow::kRelease,
                                SettleArrow::kExtend, SettleArrow::kReject};
  const Cost costs[] = {Cost::kRemove, Cost::kRewrite, Cost::kRewrite, Cost::kNothing, Cost::kRewrite};
  const bool writes[] = {true, true, false, false, true};
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    SCOPED_TRACE(i);
    const SettlePlan plan = Plan(kKinds[i]);
    EXPECT_EQ(plan.arrow, arrows[i]);
    EXPECT_EQ(plan.cost, costs[i]);
    EXPECT_EQ(plan.writes, writes[i]);
    EXPECT_EQ(Refusal(plan), "");
  }
  message.own_deadline = now;  // it lives as long as its lease
  EXPECT_EQ(Plan(SettleKind::kAck).arrow, SettleArrow::kAck);
}

TEST_F(SettlePlans, OfALeaseThatHasEndedCountNoAttemptAgain) {
  LetLapse();
  const SettleArrow arrows[] = {SettleArrow::kAck, SettleArrow::kReturnLate, SettleArrow::kNone,
                                SettleArrow::kNone, SettleArrow::kRejectLate};
  const std::string_view refusals[] = {"", "", "", reason::kLeaseLost, ""};
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    SCOPED_TRACE(i);
    const SettlePlan plan = Plan(kKinds[i]);
    EXPECT_EQ(plan.arrow, arrows[i]);
    EXPECT_EQ(Refusal(plan), refusals[i]);
    EXPECT_EQ(plan.cost == Cost::kNothing, plan.arrow == SettleArrow::kNone);
  }
}

TEST_F(SettlePlans, OfTheBrokersLastLifeAreAsGoodWhereTheAttemptIsTheNextOne) {
  message.state = Message::State::kReady;
  token.epoch = Epoch(kEpoch.value() - 1);
  EXPECT_EQ(Plan(SettleKind::kAck).arrow, SettleArrow::kAck);
  EXPECT_EQ(Plan(SettleKind::kNack).arrow, SettleArrow::kReturn);
  EXPECT_EQ(Plan(SettleKind::kDeadLetter).arrow, SettleArrow::kReject);
  EXPECT_EQ(Refusal(Plan(SettleKind::kExtend)), reason::kLeaseLost);
}

TEST_F(SettlePlans, OfALostLeaseChangeNothingAndWaitForNothing) {
  Lease(10);
  for (const SettleKind kind : kKinds) {
    const SettlePlan plan = Plan(kind);
    EXPECT_EQ(plan.arrow, SettleArrow::kNone);
    EXPECT_EQ(plan.cost, Cost::kNothing);
    EXPECT_FALSE(plan.writes);
    EXPECT_EQ(Refusal(plan), reason::kLeaseLost);
  }
}

TEST_F(SettlePlans, OfAParkedMessageAreLost) {
  LetLapse();
  message.home = Message::Home::kParkedRow;
  for (const SettleKind kind : kKinds) EXPECT_EQ(Refusal(Plan(kind)), reason::kLeaseLost);
}

TEST_F(SettlePlans, OfAMessageWhoseTimeIsOverLetItExpire) {
  LetLapse();
  message.own_deadline = now;
  for (const SettleKind kind : kKinds) {
    const SettlePlan plan = Plan(kind);
    EXPECT_EQ(plan.arrow, SettleArrow::kExpire);
    EXPECT_EQ(plan.cost, Cost::kNothing);
    EXPECT_EQ(Refusal(plan), reason::kLeaseLost);
  }
}

TEST_F(SettlePlans, OfNoMessageSayThatItIsGone) {
  for (const SettleKind kind : kKinds)
    EXPECT_EQ(Refusal(PlanSettlement(nullptr, token, kind, kEpoch, now)), reason::kMessageNotFound);
}

}  // namespace
}  // namespace baton
