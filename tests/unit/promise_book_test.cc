// The book that judges the tests with killed processes finds each kind of broken promise, and accepts what a
// kill may do.
#include "tests/support/promise_book.h"

#include <chrono>
#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MessageId IdOf(uint32_t epoch, uint64_t counter) {
  return {.queue = QueueId(1), .seq = MakeSeq(Epoch(epoch), counter), .place = 7};
}

// A token of delivery `number` in `epoch` of the message `id`.
LeaseToken Token(uint32_t epoch, uint64_t number, const MessageId& id, uint32_t attempt = 1) {
  return {.epoch = Epoch(epoch), .delivery = DeliveryNumber(number), .attempt = attempt, .id = id};
}

absl::Status Refused(std::string_view reason) {
  return MakeError(absl::StatusCode::kNotFound, reason, "refused");
}

class PromiseBookTest : public testing::Test {
 protected:
  void Publish(const PromiseBook::Published& message = {.queue = "q"}) { book_.Publishing("a", message); }
  void Confirm(const MessageId& id) { book_.Answered("a", Confirmation{.message_id = id.ToText()}); }
  void ConfirmDuplicate() { book_.Answered("a", Confirmation{.duplicate = true}); }

  void Deliver(const LeaseToken& token) {
    const bool again = token.attempt > 1 || EpochOf(token.id.seq) < token.epoch;
    book_.Delivered({.queue = "q", .key = "a", .token = token, .redelivered = again, .at = now_});
  }
  void Ack(const LeaseToken& token, const absl::Status& answer = absl::OkStatus()) {
    book_.AckSent("a", token);
    book_.AckAnswered("a", token, answer);
  }
  void DeliverAndAck(const LeaseToken& token) {
    Deliver(token);
    Ack(token);
  }

  const PromiseBook::Time now_ = PromiseBook::Time(std::chrono::hours(1));
  const MessageId id_ = IdOf(1, 1);
  PromiseBook book_;
};

TEST_F(PromiseBookTest, IsContentWithAMessageThatWasPublishedDeliveredAndAcked) {
  Publish();
  Confirm(id_);
  DeliverAndAck(Token(1, 1, id_));
  EXPECT_THAT(book_.Judge(), IsEmpty());
}

TEST_F(PromiseBookTest, FindsAConfirmedMessageThatIsLost) {
  Publish();
  Confirm(id_);
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("is lost")));
}

TEST_F(PromiseBookTest, FindsAConfirmedMessageThatWasDeliveredAndIsLost) {
  Publish();
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  book_.BrokerDied();
  Ack(Token(1, 1, id_), Refused(reason::kMessageNotFound));  // sent after the kill: it has done nothing
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("is lost")));
}

TEST_F(PromiseBookTest, AcceptsThatAnAckTookEffectWhoseAnswerWasLostInAKill) {
  Publish();
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  book_.AckSent("a", Token(1, 1, id_));
  book_.BrokerDied();
  book_.AckAnswered("a", Token(1, 1, id_), Refused(reason::kMessageNotFound));
  book_.CheckInventory({});
  EXPECT_THAT(book_.Judge(), IsEmpty());
}

TEST_F(PromiseBookTest, AcceptsThatAKilledConsumersAckTookEffect) {
  Publish();
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  book_.AckSent("a", Token(1, 1, id_));
  EXPECT_THAT(book_.Judge(), IsEmpty());
}

TEST_F(PromiseBookTest, FindsADeliveryAfterAConfirmedAckWhicheverIsReportedFirst) {
  Publish();
  Confirm(id_);
  Deliver(Token(2, 1, id_));
  DeliverAndAck(Token(1, 5, id_));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("was delivered again")));
}

TEST_F(PromiseBookTest, AcceptsEarlierDeliveriesThanTheOneThatWasAcked) {
  Publish();
  Confirm(id_);
  DeliverAndAck(Token(2, 1, id_));
  Deliver(Token(1, 5, id_));
  EXPECT_THAT(book_.Judge(), IsEmpty());
}

TEST_F(PromiseBookTest, FindsAMessageThatIsStillStoredAfterItsAckWasConfirmed) {
  Publish();
  Confirm(id_);
  DeliverAndAck(Token(1, 1, id_));
  book_.CheckInventory({{.key = "a", .queue = "q", .message_id = id_.ToText()}});
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("is still stored")));
}

TEST_F(PromiseBookTest, FindsAConfirmedMessageThatIsNotListed) {
  Publish();
  Confirm(id_);
  book_.CheckInventory({});
  DeliverAndAck(Token(1, 1, id_));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("is not stored")));
}

TEST_F(PromiseBookTest, FindsABodyThatIsListedTwice) {
  Publish();
  Confirm(id_);
  book_.CheckInventory({{.key = "a", .queue = "q", .message_id = id_.ToText()},
                        {.key = "a", .queue = "q", .message_id = id_.ToText()}});
  DeliverAndAck(Token(1, 1, id_));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("is stored twice")));
}

TEST_F(PromiseBookTest, AcceptsAMessageThatWasDeliveredAndLostBeforeItsConfirm) {
  Publish();
  Deliver(Token(1, 1, IdOf(1, 1)));
  book_.BrokerDied();
  Confirm(IdOf(2, 1));
  DeliverAndAck(Token(2, 1, IdOf(2, 1)));
  EXPECT_THAT(book_.Judge(), IsEmpty());
  EXPECT_EQ(book_.totals().lost_copies, 1u);
}

TEST_F(PromiseBookTest, DoesNotAcceptItOfAQueueThatDeliversOnlyWhatIsCommitted) {
  Publish({.queue = "q", .committed_delivery = true});
  Deliver(Token(1, 1, IdOf(1, 1)));
  Confirm(IdOf(2, 1));
  DeliverAndAck(Token(2, 1, IdOf(2, 1)));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("two messages")));
}

TEST_F(PromiseBookTest, FindsABodyThatWasStoredTwiceInOneEpoch) {
  Publish();
  ConfirmDuplicate();
  DeliverAndAck(Token(1, 1, IdOf(1, 1)));
  DeliverAndAck(Token(1, 2, IdOf(1, 2)));
  EXPECT_THAT(book_.Judge(), Contains(HasSubstr("both messages lived")));
}

TEST_F(PromiseBookTest, FindsABodyWhoseFirstMessageOutlivedTheKill) {
  Publish();
  ConfirmDuplicate();
  Deliver(Token(2, 1, IdOf(1, 1)));
  DeliverAndAck(Token(2, 2, IdOf(2, 1)));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("both messages lived")));
}

TEST_F(PromiseBookTest, FindsABodyThatWasStoredAgainAfterItsConfirmOrItsAck) {
  Publish();
  Confirm(IdOf(1, 1));
  DeliverAndAck(Token(1, 1, IdOf(1, 1)));
  DeliverAndAck(Token(2, 1, IdOf(2, 1)));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("again after it was confirmed"),
                                         HasSubstr("again after its ack was confirmed")));
}

TEST_F(PromiseBookTest, FindsAConfirmedMessageInWhosePlaceAnotherCame) {
  Publish();
  Confirm(IdOf(2, 1));
  DeliverAndAck(Token(1, 1, IdOf(1, 1)));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("was never delivered")));
}

TEST_F(PromiseBookTest, FindsAnAttemptThatWasForgottenAfterAConfirmedNack) {
  Publish();
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  book_.NackAnswered("a", Token(1, 1, id_), absl::OkStatus(), now_);
  DeliverAndAck(Token(2, 1, id_, 1));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("after a confirmed nack")));
}

TEST_F(PromiseBookTest, FindsADeliveryBeforeADelayIsOver) {
  Publish({.queue = "q", .not_before = now_ + milliseconds(100)});
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  book_.NackAnswered("a", Token(1, 1, id_), absl::OkStatus(), now_ + milliseconds(100));
  DeliverAndAck(Token(1, 2, id_, 2));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("delay"), HasSubstr("delay"), HasSubstr("nack's delay")));
}

TEST_F(PromiseBookTest, FindsWhatNobodyPublishedAndWhatWasChanged) {
  Publish({.queue = "another", .priority = 1});
  Confirm(id_);
  DeliverAndAck(Token(1, 1, id_));
  book_.Delivered({.queue = "q", .key = "", .token = Token(1, 2, IdOf(1, 2))});
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("from queue q"), HasSubstr("priority 0, not 1"),
                                         HasSubstr("not published like this")));
}

TEST_F(PromiseBookTest, FindsARedeliveryThatDoesNotSayItIsOne) {
  Publish();
  Confirm(id_);
  book_.Delivered({.queue = "q", .key = "a", .token = Token(2, 1, id_), .redelivered = false, .at = now_});
  Ack(Token(2, 1, id_));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("redelivered = false")));
}

TEST_F(PromiseBookTest, FindsPublishesThatFailOrAreNotAnswered) {
  Publish();
  book_.Publishing("b", {.queue = "q"});
  book_.Answered("a", absl::UnavailableError("gone"));
  EXPECT_THAT(book_.Judge(),
              ElementsAre(HasSubstr("publish failed"), HasSubstr("is lost"), HasSubstr("never answered")));
}

TEST_F(PromiseBookTest, FindsAnAckThatIsRefusedWithoutAReason) {
  Publish();
  Confirm(id_);
  Deliver(Token(1, 1, id_));
  Ack(Token(1, 1, id_), Refused(reason::kAlreadySettled));
  DeliverAndAck(Token(1, 2, id_, 2));
  EXPECT_THAT(book_.Judge(), ElementsAre(HasSubstr("the ack of delivery 1")));
}

}  // namespace
}  // namespace baton
