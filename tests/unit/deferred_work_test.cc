// What waits for room: in turns, in its lane's order, as long as somebody wants it.
#include "server/engine/deferred_work.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baton {
namespace {

using testing::ElementsAre;

constexpr QueueId kOrders(1);
constexpr QueueId kMails(2);
const Asker kSeven = Asker::Of(SessionId(7));
const Asker kEight = Asker::Of(SessionId(8));

class Deferred : public testing::Test {
 protected:
  void Add(const Asker& asker, QueueId queue, Cost cost, const std::string& name, int shares = 1) {
    work.Add(asker, queue, cost, [this, name, shares](Instant) mutable {
      done.push_back(name);
      return --shares == 0;
    });
  }
  void Run(int pieces) {
    work.Run(Instant(), [&pieces](Cost) { return pieces-- > 0; });
  }

  DeferredWork work;
  std::vector<std::string> done;
};

TEST_F(Deferred, IsDoneInTurnsThoughOneAskedForMuch) {
  for (const char* name : {"7a", "7b", "7c"}) Add(kSeven, kOrders, Cost::kRewrite, name);
  Add(kEight, kOrders, Cost::kRewrite, "8a");
  Run(3);
  EXPECT_THAT(done, ElementsAre("7a", "8a", "7b"));
}

TEST_F(Deferred, GoesOnWhereItStoppedBeforeWhatCameAfterIt) {
  Add(kSeven, kOrders, Cost::kRewrite, "long", 3);
  Add(kSeven, kOrders, Cost::kRewrite, "next");
  for (int i = 0; i < 4; ++i) Run(1);
  EXPECT_THAT(done, ElementsAre("long", "long", "long", "next"));
  EXPECT_EQ(work.size(), 0u);
}

TEST_F(Deferred, ThatOnlyRemovesDoesNotWaitForWhatRewrites) {
  Add(kSeven, kOrders, Cost::kRewrite, "nack");
  Add(kSeven, kOrders, Cost::kRemove, "ack");
  work.Run(Instant(), [](Cost cost) { return cost != Cost::kRewrite; });
  EXPECT_THAT(done, ElementsAre("ack"));
}

TEST_F(Deferred, GoesWithWhoAskedForIt) {
  Add(kSeven, kOrders, Cost::kRewrite, "seven");
  Add(kSeven, kMails, Cost::kRemove, "seven");
  Add(kEight, kOrders, Cost::kRewrite, "eight");
  EXPECT_TRUE(work.Forget(kSeven));
  EXPECT_FALSE(work.Forget(kSeven));
  Run(10);
  EXPECT_THAT(done, ElementsAre("eight"));
}

TEST_F(Deferred, CostsNothingWhenItsQueueIsGone) {
  Add(kSeven, kOrders, Cost::kRewrite, "orders");
  Add(kSeven, kMails, Cost::kRewrite, "mails");
  work.Free(kOrders);
  work.Run(Instant(), [](Cost cost) { return cost == Cost::kNothing; });
  EXPECT_THAT(done, ElementsAre("orders"));
  EXPECT_EQ(work.size(Cost::kRewrite), 1u);
}

TEST_F(Deferred, PutOffOnceMoreWaitsForTheNextRun) {
  work.Add(kSeven, kOrders, Cost::kRewrite, [this](Instant) {
    done.emplace_back("first");
    Add(kSeven, kOrders, Cost::kRewrite, "again");
    return true;
  });
  Run(10);
  EXPECT_THAT(done, ElementsAre("first"));
  Run(10);
  EXPECT_THAT(done, ElementsAre("first", "again"));
}

}  // namespace
}  // namespace baton
