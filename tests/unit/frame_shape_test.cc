// Frames that would take much more memory than their bytes are refused unread; all that clients may say is
// not.
#include "server/session/frame_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"
#include "baton/v1/session.pb.h"

namespace baton {
namespace {

std::string Repeat(const std::string& part, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += part;
  return all;
}

// Of an empty entry of the field.
std::string Entry(int field) { return {static_cast<char>(field << 3 | 2), '\0'}; }

TEST(FrameShape, OfTheLargestGoodFramesIsFine) {
  v1::ClientFrame publishes;
  for (uint32_t i = 0; i < kPublishCreditMessages; ++i) {
    v1::PublishBatch* batch = publishes.add_publish();
    batch->set_queue("orders");
    batch->set_first_sequence(1 + i);
    batch->add_body_sizes(3);
    batch->set_bodies("abc");
    batch->add_priorities(1);
    batch->add_ttl_ms(1'000);
    batch->add_delay_ms(1'000);
    batch->add_headers("h");
    batch->set_want_ids(true);
  }
  EXPECT_TRUE(CheckFrameShape(publishes.SerializeAsString()).ok());

  v1::ClientFrame settles;
  for (uint64_t tag = 1; tag <= kSettleTagsMax; ++tag) {
    v1::Settle* settle = settles.add_settle();
    settle->set_kind(v1::Settle::NACK);
    settle->add_tags(tag);
    settle->add_tags(0);
    settle->set_delay_ms(1);
    settle->set_delay_set(true);
    settle->set_reason("r");
    settle->set_lease_ms(100);
  }
  EXPECT_TRUE(CheckFrameShape(settles.SerializeAsString()).ok());
  EXPECT_TRUE(CheckFrameShape("").ok());
}

TEST(FrameShape, OfFieldsThatAreNotKnownYetIsFine) {
  v1::ClientFrame frame;
  frame.add_credit()->set_subscription(1);
  const std::string unknown =
      Repeat("\x78\x01", 100) + "\x82\x01\x03xyz" + "\x8d\x01mmmm" + "\x91\x01gggggggg";
  const std::string bytes = frame.SerializeAsString() + Repeat(unknown, 10);
  EXPECT_TRUE(CheckFrameShape(bytes).ok());
  EXPECT_TRUE(frame.ParseFromString(bytes));
}

TEST(FrameShape, OfMoreThanAnySessionCouldUseIsRefused) {
  EXPECT_FALSE(CheckFrameShape(Repeat(Entry(2), kFrameEntriesMax + 1)).ok());
  EXPECT_FALSE(CheckFrameShape(Repeat(Entry(2) + Entry(5) + Entry(6), kFrameEntriesMax / 3 + 1)).ok());
  EXPECT_FALSE(CheckFrameShape(Repeat(Entry(3), kPublishCreditMessages + 1)).ok());
  EXPECT_FALSE(CheckFrameShape(Repeat(Entry(4), kSettleTagsMax + 1)).ok());
  v1::ClientFrame headers;
  headers.add_publish();
  for (uint32_t i = 0; i <= kPublishCreditMessages; ++i) headers.mutable_publish(0)->add_headers("");
  EXPECT_FALSE(CheckFrameShape(headers.SerializeAsString()).ok());
  EXPECT_FALSE(CheckFrameShape(Repeat(Entry(15), 1u << 20)).ok()) << "what is not known takes memory too";
  EXPECT_FALSE(CheckFrameShape(Repeat("\x7b\x7c", 1u << 20)).ok()) << "groups";
}

// What it lets through nonetheless, the reading itself refuses.
TEST(FrameShape, OfNoMessageAtAllIsRefusedInTheEnd) {
  for (const std::string& bytes :
       {std::string(1'000, '\0'), Repeat("\xff", 1'000), Repeat(Entry(3), 1'000) + "\x1a\x05",
        Repeat(Entry(3), 1'000) + "\x1a\xff\xff\xff\xff\x0f"}) {
    EXPECT_TRUE(!CheckFrameShape(bytes).ok() || !v1::ClientFrame().ParseFromString(bytes));
  }
}

}  // namespace
}  // namespace baton
