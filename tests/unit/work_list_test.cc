// Lists of queues for which something is to be done.
#include "server/engine/work_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "server/engine/queue.h"

namespace baton {
namespace {

using testing::ElementsAre;

using List = WorkList<&Queue::in_to_dispatch>;

std::vector<Queue*> Drain(List& list) {
  std::vector<Queue*> queues;
  while (Queue* queue = list.Take()) queues.push_back(queue);
  return queues;
}

TEST(WorkList, GivesEachQueueOnceInTheOrderTheyCame) {
  Queue a, b;
  List list;
  list.Add(b);
  list.Add(a);
  list.Add(b);
  EXPECT_TRUE(b.wants_dispatch());
  EXPECT_THAT(Drain(list), ElementsAre(&b, &a));
  EXPECT_FALSE(b.wants_dispatch());
}

TEST(WorkList, LosesAQueueThatGoesWhateverListHasIt) {
  Queue a, b;
  auto gone = std::make_unique<Queue>();
  List list;
  WorkList<&Queue::in_awaiting_room> other;
  list.Add(a);
  list.Add(*gone);
  other.Add(*gone);
  List taken = list.TakeAll();
  list.Add(b);
  gone.reset();
  EXPECT_TRUE(other.empty());
  list.PutBack(std::move(taken));
  EXPECT_THAT(Drain(list), ElementsAre(&a, &b));
}

TEST(WorkList, KeepsWhatIsAddedMeanwhileForTheNextRound) {
  Queue a, b, c;
  List list;
  list.Add(a);
  list.Add(b);
  List round = list.TakeAll();
  EXPECT_EQ(round.Take(), &a);
  list.Add(a);  // again
  list.Add(c);
  list.Add(b);  // is there still
  list.PutBack(std::move(round));
  EXPECT_THAT(Drain(list), ElementsAre(&b, &a, &c));
}

TEST(WorkList, GivesThoseThatMeetACondition) {
  Queue a, b, c;
  List list;
  WorkList<&Queue::in_awaiting_room> next;
  for (Queue* queue : {&a, &b, &c}) list.Add(*queue);
  list.TakeIf([&](const Queue& queue) { return &queue != &b; }, [&](Queue& queue) { next.Add(queue); });
  EXPECT_EQ(next.Take(), &a);
  EXPECT_EQ(next.Take(), &c);
  EXPECT_THAT(Drain(list), ElementsAre(&b));
}

}  // namespace
}  // namespace baton
