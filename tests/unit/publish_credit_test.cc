#include "server/session/publish_credit.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace baton {
namespace {

constexpr PublishCredit::Limit kLimit{.messages = 4, .bytes = 100};

TEST(PublishCredit, GivesBackWhatIsAnsweredToTheByte) {
  PublishCredit credit(kLimit);
  EXPECT_TRUE(credit.Take(1, {10, 20, 30}).ok());
  EXPECT_EQ(credit.bytes(), 60u);
  credit.GiveBack(2, 2);
  EXPECT_EQ(credit.bytes(), 40u);
  EXPECT_EQ(credit.messages(), 2u);
  credit.GiveBack(1, 3);
  EXPECT_EQ(credit.bytes(), 0u);
  EXPECT_EQ(credit.messages(), 0u);
}

TEST(PublishCredit, MoreMessagesOrBytesThanGrantedIsAnError) {
  PublishCredit messages(kLimit);
  EXPECT_TRUE(messages.Take(1, {0, 0, 0, 0}).ok());
  EXPECT_EQ(ReasonOf(messages.Take(5, {0})), "CREDIT_EXCEEDED");
  PublishCredit bytes(kLimit);
  EXPECT_TRUE(bytes.Take(1, {60}).ok());
  EXPECT_EQ(ReasonOf(bytes.Take(2, {41})), "CREDIT_EXCEEDED");
}

TEST(PublishCredit, OneLargeMessageMayStandAlone) {
  PublishCredit credit(kLimit);
  EXPECT_TRUE(credit.Take(1, {1'000}).ok());
  credit.GiveBack(1, 1);
  EXPECT_TRUE(credit.Take(2, {1}).ok());
  EXPECT_EQ(ReasonOf(credit.Take(3, {1'000})), "CREDIT_EXCEEDED");
}

TEST(PublishCredit, AnswersMayComeOutOfOrderAndOverSeveralBatches) {
  PublishCredit credit(kLimit);
  EXPECT_TRUE(credit.Take(1, {10, 10}).ok());
  EXPECT_TRUE(credit.Take(3, {10, 10}).ok());
  credit.GiveBack(3, 4);
  EXPECT_EQ(credit.messages(), 2u);
  credit.GiveBack(1, 2);
  EXPECT_EQ(credit.messages(), 0u);
  EXPECT_TRUE(credit.Take(5, {10, 10}).ok());
  EXPECT_TRUE(credit.Take(7, {10}).ok());
  credit.GiveBack(5, 7);
  EXPECT_EQ(credit.messages(), 0u);
}

TEST(PublishCredit, ASequenceSentTwiceIsAnsweredTwice) {
  PublishCredit credit(kLimit);
  EXPECT_TRUE(credit.Take(1, {10}).ok());
  EXPECT_TRUE(credit.Take(1, {10}).ok());
  credit.GiveBack(1, 1);
  EXPECT_EQ(credit.messages(), 1u);
  credit.GiveBack(1, 1);
  EXPECT_EQ(credit.messages(), 0u);
  credit.GiveBack(1, 1);  // one answer too many changes nothing
  EXPECT_EQ(credit.bytes(), 0u);
}

// As when the second one went to a queue that answers sooner.
TEST(PublishCredit, ASequenceSentTwiceAndAnsweredOutOfOrderIsGivenBackTwice) {
  PublishCredit credit(kLimit);
  EXPECT_TRUE(credit.Take(1, {10, 10}).ok());
  EXPECT_TRUE(credit.Take(1, {10}).ok());
  credit.GiveBack(1, 1);
  EXPECT_EQ(credit.messages(), 2u);
  credit.GiveBack(1, 2);
  EXPECT_EQ(credit.messages(), 0u);
  EXPECT_EQ(credit.bytes(), 0u);
}

}  // namespace
}  // namespace baton
