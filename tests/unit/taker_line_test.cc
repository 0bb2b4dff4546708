// Whose turn it is among many takers, found without asking each.
#include "server/engine/taker_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "server/engine/queue.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using Room = TakerLine::Room;

std::vector<std::unique_ptr<Subscription>> Takers(size_t count) {
  std::vector<std::unique_ptr<Subscription>> takers;
  while (takers.size() < count) takers.push_back(std::make_unique<Subscription>());
  return takers;
}

TEST(TakerLine, GivesTurnsInTheOrderOfJoining) {
  TakerLine line;
  const auto takers = Takers(5);
  for (const auto& taker : takers) line.Join(taker.get(), {.bytes = 10});
  for (const auto& taker : takers) {
    Subscription* next = line.Next(0, {.bytes = 10, .held_below = 1});
    ASSERT_EQ(next, taker.get());
    line.Leave(next);
  }
  EXPECT_TRUE(line.empty());
  EXPECT_EQ(line.Next(0, {.bytes = 0, .held_below = 1}), nullptr);
}

TEST(TakerLine, PassesByWhoHasNoRoomAndKeepsItsTurn) {
  TakerLine line;
  const auto takers = Takers(3);
  line.Join(takers[0].get(), {.bytes = 10, .held = 3});
  line.Join(takers[1].get(), {.bytes = 100, .held = 5});
  line.Join(takers[2].get(), {.bytes = TakerLine::kIdle});
  EXPECT_EQ(line.Next(0, {.bytes = 50, .held_below = 10}), takers[1].get());
  EXPECT_EQ(line.Next(0, {.bytes = 50, .held_below = 4}), takers[2].get());
  EXPECT_EQ(line.Next(0, {.bytes = TakerLine::kIdle, .held_below = 10}), takers[2].get());
  EXPECT_EQ(line.Next(0, {.bytes = 10, .held_below = 4}), takers[0].get());
  line.SetRoom(*takers[0], {.bytes = 50, .held = 2});
  EXPECT_EQ(line.Next(0, {.bytes = 50, .held_below = 10}), takers[0].get());
}

// The same as a row that is searched from its beginning.
TEST(TakerLine, IsARowInWhichTheFirstThatFitsIsFound) {
  std::mt19937_64 random(RandomSeed());
  const auto below = [&random](uint64_t n) { return random() % n; };
  TakerLine line;
  struct Known {
    Subscription* taker;
    Room room;
  };
  std::deque<Known> row;
  auto takers = Takers(300);
  for (int step = 0; step < 50'000; ++step) {
    Subscription* taker = takers[below(takers.size())].get();
    const auto known = std::find_if(row.begin(), row.end(), [&](const Known& k) { return k.taker == taker; });
    const Room room{.bytes = below(8) == 0 ? TakerLine::kIdle : below(20),
                    .held = static_cast<uint32_t>(below(5))};
    if (known == row.end()) {
      line.Join(taker, room);
      row.push_back({taker, room});
    } else if (below(3) > 0) {
      line.Leave(taker);
      row.erase(known);
    } else {
      line.SetRoom(*taker, room);
      known->room = room;
    }
    ASSERT_EQ(line.size(), row.size());
    const TakerLine::Need need{.bytes = below(9) == 0 ? TakerLine::kIdle : below(25), .held_below = below(6)};
    const auto fits = std::find_if(row.begin(), row.end(), [&](const Known& k) {
      return k.room.bytes >= need.bytes && k.room.held < need.held_below;
    });
    Subscription* found = line.Next(0, need);
    ASSERT_EQ(found, fits == row.end() ? nullptr : fits->taker);
    if (found == nullptr) continue;
    const auto second = std::find_if(fits + 1, row.end(), [&](const Known& k) {
      return k.room.bytes >= need.bytes && k.room.held < need.held_below;
    });
    ASSERT_EQ(line.Next(found->place + 1, need), second == row.end() ? nullptr : second->taker);
  }
}

// Ten thousand consumers: a look at each would be ten thousand steps each time.
class LongTakerLine : public testing::Test {
 protected:
  static constexpr size_t kTakers = 10'000;
  static constexpr uint64_t kStepsMax = 64;  // two paths through the tree, and its closing up

  LongTakerLine() {
    for (const auto& taker : takers_) line_.Join(taker.get(), {.bytes = 100, .held = 8});
    before_ = line_.steps();
  }
  uint64_t StepsPer(size_t operations) const { return (line_.steps() - before_) / operations; }

  std::vector<std::unique_ptr<Subscription>> takers_ = Takers(kTakers);
  TakerLine line_;
  uint64_t before_ = 0;
};

TEST_F(LongTakerLine, DispatchesInAFewSteps) {
  for (size_t i = 0; i < 5 * kTakers; ++i) {
    Subscription* taker = line_.Next(0, {.bytes = 100, .held_below = 10});
    ASSERT_NE(taker, nullptr);
    line_.Leave(taker);
    line_.Join(taker, {.bytes = 100, .held = 8});
  }
  EXPECT_LE(StepsPer(5 * kTakers), kStepsMax);
}

TEST_F(LongTakerLine, FindsInAFewStepsThatNobodyHasRoom) {
  for (size_t i = 0; i < kTakers; ++i) {
    EXPECT_EQ(line_.Next(0, {.bytes = 101, .held_below = 10}), nullptr);
    EXPECT_EQ(line_.Next(0, {.bytes = TakerLine::kIdle, .held_below = 10}), nullptr);
    EXPECT_EQ(line_.Next(0, {.bytes = 1, .held_below = 8}), nullptr);
  }
  EXPECT_LE(StepsPer(kTakers), kStepsMax);
}

TEST_F(LongTakerLine, FindsInAFewStepsTheOneThatHasRoom) {
  std::mt19937_64 random(RandomSeed());
  for (size_t i = 0; i < kTakers; ++i) {
    const Subscription& idle = *takers_[random() % kTakers];
    line_.SetRoom(idle, {.bytes = TakerLine::kIdle});
    EXPECT_EQ(line_.Next(0, {.bytes = TakerLine::kIdle, .held_below = 1}), &idle);
    line_.SetRoom(idle, {.bytes = 100, .held = 8});
  }
  EXPECT_LE(StepsPer(kTakers), kStepsMax);
}

TEST_F(LongTakerLine, LetsThemComeAndGoInAFewSteps) {
  std::mt19937_64 random(RandomSeed());
  for (size_t i = 0; i < 5 * kTakers; ++i) {
    Subscription* taker = takers_[random() % kTakers].get();
    line_.Leave(taker);
    line_.Join(taker, {.bytes = 100, .held = 8});
  }
  EXPECT_LE(StepsPer(5 * kTakers), kStepsMax);
}

}  // namespace
}  // namespace baton
