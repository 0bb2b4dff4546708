#include "client/session/settlements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "base/message_id.h"

namespace baton::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// `count` deliveries of the session, tags from `first_tag`.
std::shared_ptr<DeliveryChunk> Chunk(uint64_t session, uint64_t first_tag, uint32_t count) {
  v1::Deliveries columns;
  columns.set_first_tag(first_tag);
  for (uint32_t i = 0; i < count; ++i) {
    columns.add_body_sizes(0);
    MessageId{.birth = MessageId::Birth::kReady,
              .lane = 0,
              .queue = QueueId(1),
              .seq = Seq(first_tag + i),
              .place = 0}
        .AppendTo(*columns.mutable_ids());
  }
  return *DeliveryChunk::Make(columns, {.session = session, .epoch = Epoch(1), .received = {}, .lease = {}},
                              nullptr);
}

class SettlementsTest : public testing::Test {
 protected:
  void SetUp() override { settlements_.OnConnected(1); }

  bool Add(const Settlement& how, const std::shared_ptr<DeliveryChunk>& chunk, uint32_t index) {
    return !settlements_.Add(how, SettleEntry{.chunk = chunk, .index = index}).has_value();
  }
  v1::ClientFrame Frame() {
    v1::ClientFrame frame;
    settlements_.Fill(frame);
    return frame;
  }

  Settlements settlements_;
};

TEST_F(SettlementsTest, CombineAcksIntoRangesInWhateverOrderTheyCame) {
  const auto chunk = Chunk(1, 10, 5);
  for (const uint32_t index : {4u, 0u, 2u, 1u}) EXPECT_TRUE(Add({}, chunk, index));
  const v1::ClientFrame frame = Frame();
  ASSERT_EQ(frame.settle_size(), 1);
  EXPECT_EQ(frame.settle(0).kind(), v1::Settle::ACK);
  EXPECT_THAT(frame.settle(0).tags(), ElementsAre(10, 2, 14, 0));
  EXPECT_EQ(Frame().settle_size(), 0);
}

TEST_F(SettlementsTest, KeepDifferentDecisionsApartAndEqualOnesTogether) {
  const auto chunk = Chunk(1, 1, 4);
  const Settlement nack{.kind = v1::Settle::NACK, .reason = "no"};
  Add({}, chunk, 0);
  Add(nack, chunk, 1);
  Add({}, chunk, 2);
  Add(nack, chunk, 3);
  const v1::ClientFrame frame = Frame();
  ASSERT_EQ(frame.settle_size(), 2);
  EXPECT_THAT(frame.settle(0).tags(), ElementsAre(1, 0, 3, 0));
  EXPECT_THAT(frame.settle(1).tags(), ElementsAre(2, 0, 4, 0));
  EXPECT_EQ(frame.settle(1).reason(), "no");
}

TEST_F(SettlementsTest, SendExtensionsBeforeTheAcksOfTheSameFrame) {
  const auto chunk = Chunk(1, 1, 1);
  Add({}, chunk, 0);
  Add({.kind = v1::Settle::EXTEND}, chunk, 0);
  const v1::ClientFrame frame = Frame();
  ASSERT_EQ(frame.settle_size(), 2);
  EXPECT_EQ(frame.settle(0).kind(), v1::Settle::EXTEND);
  EXPECT_EQ(frame.settle(1).kind(), v1::Settle::ACK);
}

TEST_F(SettlementsTest, NameNoMoreTagsInAFrameThanAllowed) {
  const auto chunk = Chunk(1, 1, kSettleTagsMax + 10);
  for (uint32_t i = 0; i < chunk->size(); ++i) Add({}, chunk, i);
  EXPECT_THAT(Frame().settle(0).tags(), ElementsAre(1, kSettleTagsMax - 1));
  EXPECT_THAT(Frame().settle(0).tags(), ElementsAre(kSettleTagsMax + 1, 9));
}

TEST_F(SettlementsTest, AreAnsweredCumulativelyWithTheirExceptions) {
  const auto chunk = Chunk(1, 1, 3);
  Add({}, chunk, 0);
  Frame();
  Add({}, chunk, 1);
  Add({}, chunk, 2);
  Frame();
  v1::SettleReply reply;
  reply.set_through(2);
  v1::SettleError& error = *reply.add_errors();
  error.set_settlement(2);
  error.set_tag(3);
  error.mutable_error()->set_code(9);
  error.mutable_error()->set_reason("LEASE_LOST");
  std::vector<Settlements::Answer> answers;
  ASSERT_TRUE(settlements_.OnReply(reply, answers).ok());
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_TRUE(answers[0].status.ok());
  EXPECT_TRUE(answers[1].status.ok());
  EXPECT_EQ(ReasonOf(answers[2].status), "LEASE_LOST");
}

TEST_F(SettlementsTest, MayBeRefusedInRuns) {
  const auto chunk = Chunk(1, 1, 5);
  for (uint32_t index = 0; index < 5; ++index) EXPECT_TRUE(Add({}, chunk, index));
  Frame();
  v1::SettleReply reply;
  reply.set_through(1);
  v1::SettleError& error = *reply.add_errors();
  error.set_settlement(1);
  error.set_tag(2);
  error.set_further(2);
  error.mutable_error()->set_code(9);
  std::vector<Settlements::Answer> answers;
  ASSERT_TRUE(settlements_.OnReply(reply, answers).ok());
  ASSERT_THAT(answers, SizeIs(5));
  for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i].status.ok(), i == 0 || i == 4) << i;
}

TEST_F(SettlementsTest, MayHaveTheirExceptionsInSeveralReplies) {
  const auto chunk = Chunk(1, 1, 3);
  for (uint32_t index = 0; index < 3; ++index) EXPECT_TRUE(Add({}, chunk, index));
  Frame();
  const auto refusal_of = [](uint64_t tag) {
    v1::SettleReply reply;
    v1::SettleError& error = *reply.add_errors();
    error.set_settlement(1);
    error.set_tag(tag);
    error.mutable_error()->set_code(static_cast<uint32_t>(absl::StatusCode::kFailedPrecondition));
    return reply;
  };
  std::vector<Settlements::Answer> answers;
  EXPECT_TRUE(settlements_.OnReply(refusal_of(1), answers).ok());
  EXPECT_THAT(answers, IsEmpty());

  v1::SettleReply last = refusal_of(2);
  last.set_through(1);
  EXPECT_TRUE(settlements_.OnReply(last, answers).ok());
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_EQ(answers[0].status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(answers[1].status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(answers[2].status.ok());
}

TEST_F(SettlementsTest, ThatWereNeverSentCannotBeAnswered) {
  v1::SettleReply reply;
  reply.set_through(1);
  std::vector<Settlements::Answer> answers;
  EXPECT_EQ(ReasonOf(settlements_.OnReply(reply, answers)), reason::kProtocolViolation);
}

TEST_F(SettlementsTest, OfAnotherSessionAreGivenBack) {
  EXPECT_FALSE(Add({}, Chunk(2, 1, 1), 0));
  settlements_.OnDisconnected();
  EXPECT_FALSE(Add({}, Chunk(1, 1, 1), 0));
}

TEST_F(SettlementsTest, ThatWereNotAnsweredAreHandedOutWhenTheSessionIsLost) {
  const auto chunk = Chunk(1, 1, 2);
  Add({}, chunk, 0);
  Frame();
  Add({}, chunk, 1);
  const std::vector<SettleGroup> groups = settlements_.OnDisconnected();
  ASSERT_THAT(groups, SizeIs(2));
  EXPECT_EQ(groups[0].number, 1u);  // sent: perhaps carried out
  EXPECT_EQ(groups[1].number, 0u);  // never sent
  EXPECT_THAT(settlements_.OnDisconnected(), IsEmpty());
}

}  // namespace
}  // namespace baton::client
