// Ten thousand random lives of a broker, each checked against the reference model at every step
// (tests/support). To play one again: BATON_SEED=<seed> engine_histories_test. BATON_HISTORIES=<n> plays
// another number of them.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/engine_simulation.h"

namespace baton {
namespace {

volatile uint64_t current_seed = 0;

// A failed check aborts: say which life it was.
void PrintSeed(int) {
  std::fprintf(stderr, "the history was BATON_SEED=%llu\n", static_cast<unsigned long long>(current_seed));
  std::signal(SIGABRT, SIG_DFL);
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::stoull(value);
}

constexpr uint64_t kHistoriesPerPart = 1'000;

class EngineHistories : public testing::TestWithParam<uint64_t> {};

TEST_P(EngineHistories, AgreeWithTheModel) {
  std::signal(SIGABRT, PrintSeed);
  const uint64_t chosen = FromEnvironment("BATON_SEED", 0);
  const uint64_t first = chosen != 0 ? chosen : GetParam() * kHistoriesPerPart + 1;
  const uint64_t count = chosen != 0 ? 1 : FromEnvironment("BATON_HISTORIES", kHistoriesPerPart);
  EngineSimulation::Tally total;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    current_seed = seed;
    EngineSimulation life({.seed = seed, .print = chosen != 0});
    life.Run();
    total.published += life.tally().published;
    total.delivered += life.tally().delivered;
    total.expired += life.tally().expired;
    total.dead_lettered += life.tally().dead_lettered;
    total.crashes += life.tally().crashes;
    total.reads += life.tally().reads;
    total.damaged += life.tally().damaged;
    total.in_order += life.tally().in_order;
    total.kept_in_memory += life.tally().kept_in_memory;
  }
  std::printf(
      "published %llu, delivered %llu, expired %llu, dead-lettered %llu, crashes %llu, reads %llu, "
      "kept in memory %llu\n",
      static_cast<unsigned long long>(total.published), static_cast<unsigned long long>(total.delivered),
      static_cast<unsigned long long>(total.expired), static_cast<unsigned long long>(total.dead_lettered),
      static_cast<unsigned long long>(total.crashes), static_cast<unsigned long long>(total.reads),
      static_cast<unsigned long long>(total.kept_in_memory));
  // A simulation in which nothing happens would agree with any model.
  if (count >= 100) {
    EXPECT_GT(total.delivered, count);
    EXPECT_GT(total.expired, count / 10);
    EXPECT_GT(total.dead_lettered, count / 10);
    EXPECT_GT(total.crashes, count / 10);
    EXPECT_GT(total.reads, count);
    EXPECT_GT(total.kept_in_memory, count / 10);
    EXPECT_GT(total.damaged, count / 10);
    EXPECT_GT(total.in_order, count);
  }
}

// Nothing but the seed decides: no hash table's order, no address.
TEST(EngineHistory, PlayedAgainIsTheSame) {
  const auto digest = [](uint64_t seed) {
    EngineSimulation life({.seed = seed});
    life.Run();
    return life.tally().digest;
  };
  for (uint64_t seed = 1; seed <= 300; ++seed) ASSERT_EQ(digest(seed), digest(seed)) << seed;
}

INSTANTIATE_TEST_SUITE_P(TenThousand, EngineHistories, testing::Range<uint64_t>(0, 10));

}  // namespace
}  // namespace baton
