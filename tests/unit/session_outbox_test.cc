#include "server/session/session_outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/message_id.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class OutboxFixture : public testing::Test {
 protected:
  OutboxFixture() { outbox.Hello({}); }

  DeliveryView Delivery(uint64_t tag, uint64_t subscription = 1, std::string_view body = "x") {
    DeliveryView view;
    view.id = {.queue = QueueId(1), .seq = Seq(tag)};
    view.number = DeliveryNumber(100 + tag);
    view.tag = tag;
    view.subscription = SubscriptionId(subscription);
    view.published = InstantFromMicros(5'000);
    view.body = body;
    return view;
  }

  void ExpectAllTaken() {
    v1::ServerFrame nothing;
    EXPECT_FALSE(outbox.Take(nothing));
  }
  v1::ServerFrame Take() {
    v1::ServerFrame frame;
    EXPECT_TRUE(outbox.Take(frame));
    return frame;
  }

  SessionOutbox::Total total;
  SessionOutbox outbox{&total};
};

TEST(SessionOutbox, GivesNothingBeforeHelloWhateverWasAppended) {
  SessionOutbox::Total total;
  SessionOutbox outbox(&total);
  outbox.Subscribed(SubscriptionId(1), absl::InternalError("no"));
  v1::ServerFrame frame;
  EXPECT_FALSE(outbox.Take(frame));
  v1::HelloReply hello;
  hello.set_epoch(3);
  outbox.Hello(hello);
  ASSERT_TRUE(outbox.Take(frame));
  EXPECT_EQ(frame.hello().epoch(), 3u);
  EXPECT_EQ(frame.subscribed_size(), 1);
}

TEST_F(OutboxFixture, DeliveriesThatFollowOneAnotherShareARun) {
  outbox.Deliver(Delivery(1, 1, "a"));
  outbox.Deliver(Delivery(2, 1, ""));
  outbox.Deliver(Delivery(3, 2, "c"));
  const v1::ServerFrame frame = Take();
  ASSERT_EQ(frame.deliveries_size(), 2);
  const v1::Deliveries& run = frame.deliveries(0);
  EXPECT_EQ(run.first_tag(), 1u);
  EXPECT_THAT(run.body_sizes(), ElementsAre(1u, 0u));
  EXPECT_EQ(run.bodies(), "a");
  EXPECT_EQ(run.ids().size(), 2 * MessageId::kBytes);
  EXPECT_THAT(run.published_unix_ms(), ElementsAre(5, 5));
  EXPECT_EQ(run.first_delivery(), 101u);
  EXPECT_EQ(frame.deliveries(1).first_tag(), 3u);
}

TEST_F(OutboxFixture, ColumnsOfDefaultsAreEmptyAndOthersHaveOneValueEach) {
  for (uint64_t tag = 1; tag <= 4; ++tag) {
    DeliveryView view = Delivery(tag);
    if (tag == 2) view.priority = 7;
    if (tag == 3) view.attempt = 2;
    if (tag == 3) view.redelivered = true;
    if (tag == 4) view.headers = "h";
    outbox.Deliver(view);
  }
  const v1::ServerFrame frame = Take();
  ASSERT_EQ(frame.deliveries_size(), 1);
  const v1::Deliveries& run = frame.deliveries(0);
  EXPECT_THAT(run.priorities(), ElementsAre(0u, 7u, 0u, 0u));
  EXPECT_THAT(run.attempts(), ElementsAre(1u, 1u, 2u, 1u));
  EXPECT_THAT(run.redelivered(), ElementsAre(false, false, true, false));
  EXPECT_THAT(run.headers(), ElementsAre("", "", "", "h"));
  EXPECT_THAT(run.producer_ids(), IsEmpty());
  EXPECT_THAT(run.sequences(), IsEmpty());
  EXPECT_THAT(run.delivery_distances(), IsEmpty());
}

TEST_F(OutboxFixture, DistancesTellDeliveryNumbersThatAreNotConsecutive) {
  outbox.Deliver(Delivery(1));
  outbox.Deliver(Delivery(2));
  DeliveryView view = Delivery(3);
  view.number = DeliveryNumber(110);
  outbox.Deliver(view);
  EXPECT_THAT(Take().deliveries(0).delivery_distances(), ElementsAre(1u, 8u));
}

TEST_F(OutboxFixture, ConfirmsThatContinueAreOne) {
  outbox.Confirm({.first = 1, .last = 2, .failures = {}, .duplicates = {}, .ids = {}});
  outbox.Confirm({.first = 3, .last = 3, .failures = {}, .duplicates = {3}, .ids = {}});
  outbox.Confirm({.first = 4,
                  .last = 4,
                  .durability = Durability::kRelaxed,
                  .failures = {},
                  .duplicates = {},
                  .ids = {}});
  const v1::ServerFrame frame = Take();
  ASSERT_EQ(frame.confirms_size(), 2);
  EXPECT_EQ(frame.confirms(0).first_sequence(), 1u);
  EXPECT_EQ(frame.confirms(0).last_sequence(), 3u);
  EXPECT_THAT(frame.confirms(0).duplicates(), ElementsAre(3u));
  EXPECT_EQ(frame.confirms(1).durability(), v1::RELAXED);
}

TEST_F(OutboxFixture, SettlementsAreCumulative) {
  outbox.Settled(1, {});
  outbox.Settled(
      4, {{.settlement = 3, .tag = 9, .status = MakeError(absl::StatusCode::kNotFound, "R", "gone")}});
  const v1::ServerFrame frame = Take();
  ASSERT_EQ(frame.settled_size(), 1);
  EXPECT_EQ(frame.settled(0).through(), 4u);
  ASSERT_EQ(frame.settled(0).errors_size(), 1);
  EXPECT_EQ(frame.settled(0).errors(0).error().reason(), "R");
  EXPECT_EQ(frame.settled(0).errors(0).error().code(), 5u);
}

// As many refusals of one settlement as a frame may ask for; every other tag.
std::vector<SettleFailure> Refusals(size_t count) {
  const absl::Status why = MakeError(absl::StatusCode::kFailedPrecondition, "R", "it was settled before");
  std::vector<SettleFailure> failures;
  for (size_t i = 0; i < count; ++i) failures.push_back({.settlement = 7, .tag = 2 * i + 1, .status = why});
  return failures;
}

TEST_F(OutboxFixture, ManyRefusalsTakeLittleUntilTheyAreTakenInSmallFrames) {
  const std::vector<SettleFailure> failures = Refusals(kSettleTagsMax);
  outbox.Settled(6, {});
  outbox.Settled(7, failures);
  EXPECT_LT(outbox.bytes(), kSettleTagsMax * 64);
  size_t taken = 0;
  for (v1::ServerFrame frame; taken < failures.size(); frame.Clear()) {
    ASSERT_TRUE(outbox.Take(frame));
    ASSERT_EQ(frame.settled_size(), 1);
    EXPECT_LE(frame.ByteSizeLong(), SessionOutbox::kFrameBytes);
    for (const v1::SettleError& error : frame.settled(0).errors()) {
      EXPECT_EQ(error.tag(), failures[taken++].tag);
      EXPECT_EQ(error.settlement(), 7u);
      EXPECT_EQ(error.error().reason(), "R");
    }
    EXPECT_EQ(frame.settled(0).through(), taken < failures.size() ? 6u : 7u);
  }
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST_F(OutboxFixture, WhenAllTogetherAreFullOneThatIsOwedManyRefusalsIsSentAway) {
  total.bytes_max = SessionOutbox::kFrameBytes;
  SessionOutbox modest(&total);
  modest.Hello({});
  modest.Settled(1, Refusals(1'000));
  outbox.Settled(1, Refusals(kSettleTagsMax));
  modest.Settled(2, Refusals(1'000));
  EXPECT_TRUE(outbox.ended());
  EXPECT_FALSE(modest.ended());
  const v1::ServerFrame frame = Take();
  EXPECT_EQ(frame.go_away().error().reason(), "BROKER_BUSY");
  EXPECT_EQ(frame.settled_size(), 0);
  ExpectAllTaken();
  EXPECT_EQ(total.bytes, modest.bytes());
}

TEST_F(OutboxFixture, IsFullWithAFrameWhenAllTogetherAre) {
  total.bytes_max = SessionOutbox::kFrameBytes * 3 / 2;
  outbox.Deliver(Delivery(1, 1, std::string(SessionOutbox::kFrameBytes / 2, 'x')));
  EXPECT_FALSE(outbox.IsFull());
  outbox.Deliver(Delivery(2, 1, std::string(SessionOutbox::kFrameBytes / 2, 'x')));
  EXPECT_TRUE(outbox.IsFull());
  EXPECT_FALSE(SessionOutbox(&total).IsFull());
  Take();
  EXPECT_FALSE(outbox.IsFull());
}

TEST_F(OutboxFixture, ASubscriptionThatIsEndedAndAskedForAgainIsInTwoFrames) {
  outbox.SubscriptionEnded(SubscriptionId(1), absl::OkStatus());
  outbox.Subscribed(SubscriptionId(1), Duration(30'000'000));
  EXPECT_EQ(Take().ended_size(), 1);
  const v1::ServerFrame second = Take();
  ASSERT_EQ(second.subscribed_size(), 1);
  EXPECT_EQ(second.subscribed(0).lease_ms(), 30'000u);
}

TEST_F(OutboxFixture, FramesAreClosedWhenTheyAreLarge) {
  const std::string body(SessionOutbox::kFrameBytes / 2, 'x');
  for (uint64_t tag = 1; tag <= 5; ++tag) outbox.Deliver(Delivery(tag, 1, body));
  EXPECT_EQ(Take().deliveries(0).body_sizes_size(), 2);
  EXPECT_EQ(Take().deliveries(0).first_tag(), 3u);
  EXPECT_EQ(Take().deliveries(0).body_sizes_size(), 1);
  EXPECT_EQ(outbox.bytes(), 0u);
  ExpectAllTaken();
  EXPECT_EQ(total.bytes, 0u);
}

TEST_F(OutboxFixture, GoAwayIsTheLastWord) {
  EXPECT_TRUE(outbox.GoAway(MakeError(absl::StatusCode::kAborted, "R", "why"), std::chrono::seconds(2)));
  EXPECT_FALSE(outbox.GoAway(absl::InternalError("second"), Duration(0)));
  outbox.Deliver(Delivery(1));
  const v1::ServerFrame frame = Take();
  EXPECT_EQ(frame.go_away().error().reason(), "R");
  EXPECT_EQ(frame.go_away().retry_after_ms(), 2'000u);
  EXPECT_EQ(frame.deliveries_size(), 0);
  v1::ServerFrame nothing;
  EXPECT_FALSE(outbox.Take(nothing));
}

TEST_F(OutboxFixture, StopsDeliveriesWhenFullAndSaysOnceThatThereIsRoomAgain) {
  const std::string body(SessionOutbox::kFrameBytes, 'x');
  uint64_t tag = 0;
  while (outbox.TakesDeliveries(body.size())) outbox.Deliver(Delivery(++tag, 1, body));
  EXPECT_GE(outbox.bytes(), SessionOutbox::kDeliveriesBytesMax);
  EXPECT_FALSE(outbox.TakeResumed());
  for (v1::ServerFrame frame; outbox.Take(frame); frame.Clear()) {
  }
  EXPECT_TRUE(outbox.TakeResumed());
  EXPECT_FALSE(outbox.TakeResumed());
  EXPECT_TRUE(outbox.TakesDeliveries(body.size()));
}

// One that does not read has what is free besides, however much it asks for; and so has each that comes after
// it.
TEST_F(OutboxFixture, HoldsAsMuchAsIsFreeBesides) {
  constexpr size_t kBytes = 1'000;
  total.bytes_max = 100 * kBytes;
  const std::string body(kBytes, 'x');
  std::vector<std::unique_ptr<SessionOutbox>> idle;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(std::make_unique<SessionOutbox>(&total));
    for (uint64_t tag = 1; idle.back()->TakesDeliveries(kBytes); ++tag)
      idle.back()->Deliver(Delivery(tag, 1, body));
    if (i == 0) {
      EXPECT_LE(total.bytes, total.bytes_max / 2 + 2 * kBytes);
    }
  }
  EXPECT_LE(total.bytes, total.bytes_max + kBytes);
  EXPECT_FALSE(outbox.TakesDeliveries(20 * kBytes)) << "counted before it is made";
}

TEST_F(OutboxFixture, CountsAFrameUntilTheNextIsAskedFor) {
  outbox.Deliver(Delivery(1, 1, std::string(1'000, 'x')));
  v1::ServerFrame frame;
  ASSERT_TRUE(outbox.Take(frame));
  EXPECT_EQ(outbox.bytes(), 0u);
  EXPECT_GE(total.bytes, 1'000u) << "it is being written";
  v1::ServerFrame nothing;
  EXPECT_FALSE(outbox.Take(nothing));
  EXPECT_EQ(total.bytes, 0u);
}

TEST_F(OutboxFixture, TellsOnceThatThereIsRoomThatWasWaitedFor) {
  total.bytes_max = 10'000;
  const std::string body(4'000, 'x');
  SessionOutbox other(&total);
  ASSERT_TRUE(other.TakesDeliveries(body.size()));
  other.Deliver(Delivery(1, 1, body));
  EXPECT_FALSE(total.awaited);
  EXPECT_FALSE(outbox.TakesDeliveries(7'000));
  EXPECT_TRUE(total.awaited);
  other.Abandon();
  EXPECT_TRUE(total.TakeAwaited());
  EXPECT_FALSE(total.TakeAwaited());
  EXPECT_TRUE(outbox.TakesDeliveries(7'000));
  EXPECT_EQ(total.bytes, 0u + 32);  // its HelloReply
}

TEST_F(OutboxFixture, TakesAMessageThatIsLargerThanAllRoomWhenOthersHoldLittle) {
  total.bytes_max = 10'000;
  Take();
  v1::ServerFrame nothing;
  EXPECT_FALSE(outbox.Take(nothing));
  EXPECT_TRUE(outbox.TakesDeliveries(50'000));
  SessionOutbox other(&total);
  other.Deliver(Delivery(1, 1, std::string(5'000, 'x')));
  EXPECT_FALSE(outbox.TakesDeliveries(50'000));
}

}  // namespace
}  // namespace baton
