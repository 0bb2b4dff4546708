#include "server/session/session_frames.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr SessionId kSession(3);

v1::PublishBatch Batch(const std::vector<std::string>& bodies) {
  v1::PublishBatch batch;
  batch.set_queue("orders");
  batch.set_first_sequence(10);
  for (const std::string& body : bodies) {
    batch.add_body_sizes(static_cast<uint32_t>(body.size()));
    batch.mutable_bodies()->append(body);
  }
  return batch;
}

std::string ReasonOfPublish(v1::PublishBatch batch) {
  return ReasonOf(DecodePublish(batch, kSession, MessageLimits()).status());
}

// The reasons of the failures, "" for none.
std::vector<std::string> FailuresOf(v1::PublishBatch batch, const MessageLimits& limits = {}) {
  std::vector<std::string> reasons;
  const auto decoded = DecodePublish(batch, kSession, limits);
  EXPECT_TRUE(decoded.ok()) << decoded.status();
  for (const PublishFailure& failure : decoded->failures) reasons.push_back(ReasonOf(failure.status));
  return reasons;
}

TEST(DecodePublish, TakesEachMessageFromItsColumns) {
  v1::PublishBatch batch = Batch({"a", "", "cc"});
  for (const uint32_t priority : {1u, 2u, 4'000'000'000u}) batch.add_priorities(priority);
  for (const uint64_t ttl : {0u, 5u, 6u}) batch.add_ttl_ms(ttl);
  for (const uint64_t delay : {0u, 0u, 7u}) batch.add_delay_ms(delay);
  batch.set_want_ids(true);
  const auto decoded = DecodePublish(batch, kSession, MessageLimits());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_THAT(decoded->failures, IsEmpty());
  EXPECT_THAT(decoded->sizes, ElementsAre(1u, 0u, 2u));
  ASSERT_THAT(decoded->commands, SizeIs(1));
  const Publish& publish = decoded->commands[0];
  EXPECT_EQ(publish.session, kSession);
  EXPECT_EQ(publish.first_sequence, 10u);
  EXPECT_TRUE(publish.want_ids);
  ASSERT_THAT(publish.messages, SizeIs(3));
  EXPECT_EQ(publish.messages[2].body, "cc");
  EXPECT_EQ(publish.messages[2].priority, 4'000'000'000u);
  EXPECT_EQ(publish.messages[1].ttl, std::chrono::milliseconds(5));
  EXPECT_EQ(publish.messages[2].delay, std::chrono::milliseconds(7));
}

TEST(DecodePublish, LeavesOutTheMessagesThatAreWrongAndKeepsTheSequencesOfTheOthers) {
  v1::PublishBatch batch = Batch({"a", "too long", "b", "c", "too long"});
  const auto decoded = DecodePublish(batch, kSession, {.body_bytes_max = 4});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_THAT(decoded->commands, SizeIs(2));
  EXPECT_EQ(decoded->commands[0].first_sequence, 10u);
  EXPECT_THAT(decoded->commands[0].messages, SizeIs(1));
  EXPECT_EQ(decoded->commands[1].first_sequence, 12u);
  ASSERT_THAT(decoded->commands[1].messages, SizeIs(2));
  EXPECT_EQ(decoded->commands[1].messages[1].body, "c");
  ASSERT_THAT(decoded->failures, SizeIs(2));
  EXPECT_EQ(decoded->failures[0].sequence, 11u);
  EXPECT_EQ(decoded->failures[1].sequence, 14u);
  EXPECT_THAT(decoded->sizes, SizeIs(5));
}

TEST(DecodePublish, AnswersWhatIsWrongWithAMessage) {
  v1::PublishBatch ttl = Batch({"a"});
  ttl.add_ttl_ms(UINT64_MAX);
  EXPECT_THAT(FailuresOf(ttl), ElementsAre("OUT_OF_RANGE"));
  v1::PublishBatch delay = Batch({"a"});
  delay.add_delay_ms(uint64_t{1} << 62);
  EXPECT_THAT(FailuresOf(delay), ElementsAre("OUT_OF_RANGE"));
  v1::PublishBatch name = Batch({"a", "b"});
  name.set_queue("a/b");
  EXPECT_THAT(FailuresOf(name), ElementsAre("QUEUE_NAME_INVALID", "QUEUE_NAME_INVALID"));

  v1::PublishBatch headers = Batch({"a"});
  headers.add_headers("\xff\xff not a message");
  EXPECT_THAT(FailuresOf(headers), ElementsAre("INVALID_ARGUMENT"));
  v1::Headers named;
  named.add_headers()->set_name("baton-reason");
  headers.set_headers(0, named.SerializeAsString());
  EXPECT_THAT(FailuresOf(headers), ElementsAre("INVALID_ARGUMENT"));
  named.mutable_headers(0)->set_name("");
  headers.set_headers(0, named.SerializeAsString());
  EXPECT_THAT(FailuresOf(headers), ElementsAre("INVALID_ARGUMENT"));
  named.mutable_headers(0)->set_name("ok");
  named.mutable_headers(0)->set_value(std::string(kHeaderBytesDefaultMax, 'x'));
  headers.set_headers(0, named.SerializeAsString());
  EXPECT_THAT(FailuresOf(headers), ElementsAre("HEADERS_TOO_LARGE"));
  named.Clear();
  for (size_t i = 0; i <= kHeaderCountMax; ++i) named.add_headers()->set_name("h");
  headers.set_headers(0, named.SerializeAsString());
  EXPECT_THAT(FailuresOf(headers), ElementsAre("HEADERS_TOO_LARGE"));
}

TEST(DecodePublish, OfABatchWhoseColumnsDisagreeBreaksTheProtocol) {
  EXPECT_EQ(ReasonOfPublish(Batch({})), "PROTOCOL_VIOLATION");
  EXPECT_EQ(ReasonOfPublish(Batch(std::vector<std::string>(kBatchMessagesMax + 1))), "PROTOCOL_VIOLATION");
  v1::PublishBatch sizes = Batch({"a", "b"});
  sizes.set_body_sizes(1, 2);
  EXPECT_EQ(ReasonOfPublish(sizes), "PROTOCOL_VIOLATION");
  sizes.set_body_sizes(1, UINT32_MAX);
  EXPECT_EQ(ReasonOfPublish(sizes), "PROTOCOL_VIOLATION");
  v1::PublishBatch column = Batch({"a", "b"});
  column.add_priorities(1);
  EXPECT_EQ(ReasonOfPublish(column), "PROTOCOL_VIOLATION");
  column = Batch({"a", "b"});
  for (int i = 0; i < 3; ++i) column.add_headers("");
  EXPECT_EQ(ReasonOfPublish(column), "PROTOCOL_VIOLATION");
  v1::PublishBatch sequence = Batch({"a", "b"});
  sequence.set_first_sequence(0);
  EXPECT_EQ(ReasonOfPublish(sequence), "PROTOCOL_VIOLATION");
  sequence.set_first_sequence(UINT64_MAX);
  EXPECT_EQ(ReasonOfPublish(sequence), "PROTOCOL_VIOLATION");
}

TEST(DecodeHello, RefusesOtherVersionsAndLongNames) {
  v1::Hello hello;
  hello.set_protocol_version(2);
  const auto version = DecodeHello(hello, kSession, "peer");
  EXPECT_THAT(std::string(version.status().message()), HasSubstr("version 1"));
  hello.set_protocol_version(1);
  hello.set_client_name(std::string(129, 'x'));
  EXPECT_EQ(ReasonOf(DecodeHello(hello, kSession, "peer").status()), "PROTOCOL_VIOLATION");
}

TEST(DecodeSubscribe, AnswersWhatIsWrongWithASubscription) {
  v1::Subscribe subscribe;
  EXPECT_EQ(ReasonOf(DecodeSubscribe(subscribe, kSession).status()), "PROTOCOL_VIOLATION");
  subscribe.set_subscription(1);
  subscribe.set_queue("a b");
  EXPECT_EQ(ReasonOf(DecodeSubscribe(subscribe, kSession)->status), "QUEUE_NAME_INVALID");
  subscribe.set_queue("orders");
  EXPECT_EQ(ReasonOf(DecodeSubscribe(subscribe, kSession)->status), "OUT_OF_RANGE");  // no credit
  subscribe.set_credit_messages(kCreditMessagesMax + 1);
  EXPECT_EQ(ReasonOf(DecodeSubscribe(subscribe, kSession)->status), "OUT_OF_RANGE");
  subscribe.set_credit_messages(1);
  subscribe.set_lease_ms(99);
  EXPECT_EQ(ReasonOf(DecodeSubscribe(subscribe, kSession)->status), "OUT_OF_RANGE");
  subscribe.set_lease_ms(0);
  const auto good = DecodeSubscribe(subscribe, kSession);
  EXPECT_TRUE(good->status.ok()) << good->status;
  EXPECT_EQ(good->command.credit_bytes, kCreditBytesDefault);
}

TEST(DecodeSettle, ReadsPairsOfTagsAndFurtherOnes) {
  v1::Settle settle;
  settle.set_kind(v1::Settle::NACK);
  for (const uint64_t value : {5u, 0u, 9u, 2u}) settle.add_tags(value);
  settle.set_delay_set(true);
  size_t tags_left = kSettleTagsMax;
  const auto decoded = DecodeSettle(settle, kSession, tags_left);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_THAT(decoded->tags, SizeIs(2));
  EXPECT_EQ(decoded->tags[0].last, 5u);
  EXPECT_EQ(decoded->tags[1].first, 9u);
  EXPECT_EQ(decoded->tags[1].last, 11u);
  EXPECT_EQ(decoded->settlement.delay, Duration(0));
  EXPECT_EQ(tags_left, kSettleTagsMax - 4);
}

TEST(DecodeSettle, RefusesRangesThatAreNoneOrTooLarge) {
  const auto reason = [](std::vector<uint64_t> tags, v1::Settle settle = {}) {
    if (settle.kind() == v1::Settle::KIND_UNSPECIFIED) settle.set_kind(v1::Settle::ACK);
    for (const uint64_t tag : tags) settle.add_tags(tag);
    size_t tags_left = kSettleTagsMax;
    return ReasonOf(DecodeSettle(settle, kSession, tags_left).status());
  };
  EXPECT_EQ(reason({1, 0}), "");
  EXPECT_EQ(reason({1, kSettleTagsMax - 1}), "");
  EXPECT_EQ(reason({1, kSettleTagsMax}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({1, kSettleTagsMax - 1, 7, 0}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({1, UINT64_MAX}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({UINT64_MAX, 1}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({0, 0}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({1}), "PROTOCOL_VIOLATION");
  EXPECT_EQ(reason({}), "PROTOCOL_VIOLATION");
  v1::Settle kind;
  kind.set_kind(static_cast<v1::Settle::Kind>(99));
  EXPECT_EQ(reason({1, 0}, kind), "PROTOCOL_VIOLATION");
  v1::Settle words;
  words.set_reason(std::string(kReasonBytesMax + 1, 'x'));
  EXPECT_EQ(reason({1, 0}, words), "PROTOCOL_VIOLATION");
}

// Whatever bytes come, decoding ends in commands or a status.
TEST(DecodeFrames, SurviveRandomBytes) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(testing::Message() << "BATON_SEED=" << seed);
  std::mt19937_64 random(seed);
  const google::protobuf::LogSilencer silence;
  v1::ClientFrame good;
  *good.add_publish() = Batch({"a", "bb"});
  good.add_settle()->set_kind(v1::Settle::ACK);
  good.mutable_settle(0)->add_tags(1);
  good.mutable_settle(0)->add_tags(3);
  good.add_subscribe()->set_subscription(1);
  good.add_credit()->set_subscription(1);
  const std::string bytes = good.SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    std::string mutated = bytes;
    for (uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
      mutated[random() % mutated.size()] = static_cast<char>(random());
    }
    v1::ClientFrame frame;
    if (!frame.ParseFromString(mutated)) continue;
    size_t tags_left = kSettleTagsMax;
    for (v1::PublishBatch& batch : *frame.mutable_publish())
      (void)DecodePublish(batch, kSession, MessageLimits());
    for (const v1::Settle& settle : frame.settle()) (void)DecodeSettle(settle, kSession, tags_left);
    for (const v1::Subscribe& subscribe : frame.subscribe()) (void)DecodeSubscribe(subscribe, kSession);
    for (const v1::Credit& credit : frame.credit()) (void)DecodeCredit(credit, kSession);
  }
}

}  // namespace
}  // namespace baton
