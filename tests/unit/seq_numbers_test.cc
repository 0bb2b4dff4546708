// Numbers of messages: higher each time, over the ends of epochs, each of which is raised long before it
// begins.
#include "server/engine/seq_numbers.h"

#include <gtest/gtest.h>

namespace baton {
namespace {

TEST(SeqNumbers, GoOnInTheNextEpochWhenOneIsUsedUp) {
  SeqNumbers numbers(Epoch(7), 100);
  Seq last;
  for (int i = 0; i < 1'000; ++i) {
    if (numbers.WantsEpoch()) {
      EXPECT_EQ(numbers.TakeWish(), Epoch(EpochOf(last).value() + 1));
      numbers.OnRaised();
    }
    EXPECT_LE(last, numbers.Upcoming());
    const Seq next = numbers.Next();
    EXPECT_LT(last, next);
    last = next;
  }
  EXPECT_GT(EpochOf(last), Epoch(15));
}

TEST(SeqNumbers, WishForAnEpochOnceAndWithHalfOfThemLeft) {
  SeqNumbers numbers(Epoch(1), 100);
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(numbers.WantsEpoch());
    (void)numbers.Next();
  }
  (void)numbers.Next();
  EXPECT_TRUE(numbers.WantsEpoch());
  EXPECT_EQ(numbers.TakeWish(), Epoch(2));
  EXPECT_FALSE(numbers.WantsEpoch());
  for (int i = 0; i < 40; ++i) EXPECT_EQ(EpochOf(numbers.Next()), Epoch(1));
}

}  // namespace
}  // namespace baton
