#include "server/grpc/answer_charge.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace baton {
namespace {

Reply MessageOf(size_t bytes) {
  MessageInfo info;
  info.body.assign(bytes, 'x');
  return info;
}

TEST(AnswerCharge, CountsAnAnswerUntilItIsLetGo) {
  SessionOutbox::Total total{.bytes_max = 1u << 20};
  {
    AnswerCharge charge(&total, MessageOf(100'000));
    EXPECT_GE(total.bytes, 100'000u);
    const AnswerCharge moved = std::move(charge);
    EXPECT_GE(moved.bytes(), 100'000u);
    EXPECT_LT(total.bytes, 110'000u) << "counted twice";
  }
  EXPECT_EQ(total.bytes, 0u);
}

TEST(AnswerCharge, HasNoRoomForALargeAnswerBesideOthersThatFillTheBound) {
  SessionOutbox::Total total{.bytes_max = 1u << 20};
  const AnswerCharge alone(&total, MessageOf(4u << 20));
  EXPECT_FALSE(alone.over()) << "else it would never be answered";
  AnswerCharge second(&total, MessageOf(100'000));
  EXPECT_TRUE(second.over());
  second.Release();
  EXPECT_TRUE(second.over());
  EXPECT_EQ(total.bytes, alone.bytes());
  EXPECT_FALSE(AnswerCharge(&total, MessageOf(100)).over()) << "small ones are always made";
  EXPECT_EQ(ReasonOf(AnswerCharge::NoRoom()), reason::kBrokerBusy);
}

TEST(AnswerCharge, CountsAllThatIsListed) {
  SessionOutbox::Total total;
  MessagePage page;
  page.messages.resize(10);
  for (MessageInfo& info : page.messages) info.body.assign(10'000, 'x');
  EXPECT_GE(AnswerCharge(&total, Reply(page)).bytes(), 100'000u);
  ReceiveReply received;
  received.messages.resize(2);
  received.messages.front().headers.assign(5'000, 'x');
  EXPECT_GE(AnswerCharge(&total, Reply(received)).bytes(), 5'000u);
  QueueList list;
  list.queues.resize(1'000);
  EXPECT_GE(AnswerCharge(&total, Reply(list)).bytes(), 100'000u);
}

}  // namespace
}  // namespace baton
