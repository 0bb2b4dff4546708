// Message ids and tokens as people and programs hold them.
#include "base/message_id.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "storage/format/keys.h"
#include "tests/support/golden_file.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

const MessageId kId{.birth = MessageId::Birth::kReady,
                    .lane = 0,
                    .queue = QueueId(3),
                    .seq = MakeSeq(Epoch(2), 5),
                    .place = RankOfPriority(7)};
const LeaseToken kToken{.epoch = Epoch(2), .delivery = DeliveryNumber(9), .attempt = 1, .id = kId};

MessageId AnyId(std::mt19937_64& random) {
  return {.birth = random() % 2 == 0 ? MessageId::Birth::kReady : MessageId::Birth::kDelayed,
          .lane = static_cast<uint32_t>(random() & 0xffffff),
          .queue = QueueId(static_cast<uint32_t>(random() | 1)),
          .seq = Seq(random() | 1),
          .place = random() >> 1};
}

TEST(MessageId, HasTheBytesAndTheTextItAlwaysHad) {
  std::string bytes;
  kId.AppendTo(bytes);
  EXPECT_EQ(ToHex(bytes), "01 00 00 00 00 00 00 03 00 00 02 00 00 00 00 05 00 00 00 00 ff ff ff f8");
  EXPECT_EQ(kId.ToText(), "0400000000006000080000000k000000vvvvvu0");
  EXPECT_EQ(kId.ToText().size(), MessageId::kTextLength);
}

TEST(MessageId, ReadsBackFromBytesAndText) {
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 10'000; ++i) {
    const MessageId id = AnyId(random);
    std::string bytes;
    id.AppendTo(bytes);
    EXPECT_EQ(MessageId::FromBytes(bytes), id);
    EXPECT_EQ(MessageId::FromText(id.ToText()), id);
  }
}

TEST(MessageId, TextSortsAsTheBytesDo) {
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 10'000; ++i) {
    const MessageId a = AnyId(random);
    const MessageId b = AnyId(random);
    std::string a_bytes;
    std::string b_bytes;
    a.AppendTo(a_bytes);
    b.AppendTo(b_bytes);
    EXPECT_EQ(a_bytes < b_bytes, a.ToText() < b.ToText());
  }
}

TEST(MessageId, ThatNoBrokerGaveIsRefused) {
  MessageId no_queue = kId;
  no_queue.queue = QueueId();
  MessageId no_seq = kId;
  no_seq.seq = Seq();
  MessageId out_of_time = kId;
  out_of_time.place = uint64_t{1} << 63;
  MessageId unknown_birth = kId;
  unknown_birth.birth = static_cast<MessageId::Birth>(3);
  for (const MessageId& id : {no_queue, no_seq, out_of_time, unknown_birth})
    EXPECT_FALSE(MessageId::FromText(id.ToText()).has_value());
}

TEST(MessageId, TextIsOneTextPerIdAndNothingElse) {
  const std::string text = kId.ToText();
  EXPECT_FALSE(MessageId::FromText("").has_value());
  EXPECT_FALSE(MessageId::FromText(text.substr(1)).has_value());
  EXPECT_FALSE(MessageId::FromText(text + "0").has_value());
  for (size_t at = 0; at < text.size(); ++at) {
    for (int c = 0; c < 256; ++c) {
      std::string other = text;
      other[at] = static_cast<char>(c);
      const auto id = MessageId::FromText(other);
      if (id.has_value()) {
        EXPECT_EQ(id->ToText(), other);
      }
    }
  }
  std::string upper = text;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(MessageId::FromText(upper).has_value(), upper == text);
}

TEST(LeaseToken, HasTheTextItAlwaysHad) {
  EXPECT_EQ(kToken.ToText(), "000000g000000000004g0000040g0000000000o000100000002g000003vvvvvo");
}

TEST(LeaseToken, ReadsBackFromItsText) {
  EXPECT_EQ(LeaseToken::FromText(kToken.ToText()), kToken);
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 10'000; ++i) {
    const LeaseToken token{.epoch = Epoch(static_cast<uint32_t>(random())),
                           .delivery = DeliveryNumber(random()),
                           .attempt = static_cast<uint32_t>(random() | 1),
                           .id = AnyId(random)};
    EXPECT_EQ(LeaseToken::FromText(token.ToText()), token);
  }
}

TEST(LeaseToken, OfNoAttemptOrNoMessageIsRefused) {
  LeaseToken no_attempt = kToken;
  no_attempt.attempt = 0;
  LeaseToken no_message = kToken;
  no_message.id = MessageId();
  EXPECT_FALSE(LeaseToken::FromText(no_attempt.ToText()).has_value());
  EXPECT_FALSE(LeaseToken::FromText(no_message.ToText()).has_value());
  EXPECT_FALSE(LeaseToken::FromText(kId.ToText()).has_value());
  EXPECT_FALSE(LeaseToken::FromText("").has_value());
}

TEST(LeaseToken, OfHostileTextHarmsNobody) {
  std::mt19937_64 random(RandomSeed());
  const std::string text = kToken.ToText();
  for (int i = 0; i < 50'000; ++i) {
    std::string hostile = text;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes)
      hostile[random() % hostile.size()] = static_cast<char>(random());
    if (random() % 4 == 0) hostile.resize(random() % 100);
    const auto token = LeaseToken::FromText(hostile);
    if (token.has_value()) {
      EXPECT_EQ(token->ToText(), hostile);
    }
  }
}

}  // namespace
}  // namespace baton
