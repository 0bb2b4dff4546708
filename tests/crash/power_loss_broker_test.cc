// Power loss, and kill -9, at every change that a broker makes to its disk: nothing confirmed is lost,
// nothing is invented, nothing whose ack was confirmed comes back, and the counts are what can be taken.
#include <fmt/format.h>

#include <cstdint>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/crash_scenario.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

constexpr int kSteps = 500;

uint64_t ChangesOfAScenario(uint64_t seed, CrashScenario::Crash crash) {
  CrashScenario scenario(seed, crash);
  scenario.Live(kSteps);
  EXPECT_EQ(scenario.complaint(), "");
  const CrashScenario::Tally& tally = scenario.tally();
  std::printf(
      "published %lu, delivered %lu, acked %lu, returned %lu, given up %lu, purges %lu, changes %lu\n",
      tally.published, tally.delivered, tally.acked, tally.returned, tally.given_up, tally.purges,
      scenario.disk().changes());
  return scenario.disk().changes();
}

// The power goes at `change`; in every third history again in the middle of the drain.
void CrashAt(uint64_t change, uint64_t seed, CrashScenario::Crash crash, CrashScenario::Tally& sum) {
  CrashScenario scenario(seed, crash);
  scenario.disk().CutPowerAt(change);
  scenario.Live(kSteps);
  scenario.CrashNow();
  if (change % 3 == 0) {
    scenario.disk().CutPowerAt(1 + std::mt19937_64(seed)() % 60);
    scenario.Drain();
    scenario.CrashNow();
  }
  ASSERT_TRUE(scenario.Drain()) << scenario.complaint();
  if (change % 8 == 0) scenario.CheckNoRowsLeft();
  ASSERT_EQ(scenario.complaint(), "");
  sum.drained += scenario.tally().drained;
  sum.duplicates += scenario.tally().duplicates;
  sum.late_acks += scenario.tally().late_acks;
}

void CrashAtEveryChange(CrashScenario::Crash crash) {
  const uint64_t seed = RandomSeed();
  const uint64_t changes = ChangesOfAScenario(seed, crash);
  ASSERT_GT(changes, 100u);
  CrashScenario::Tally sum;
  for (uint64_t change = 1; change <= changes; ++change) {
    SCOPED_TRACE(fmt::format("BATON_SEED={} change {}", seed, change));
    ASSERT_NO_FATAL_FAILURE(CrashAt(change, seed + change, crash, sum));
  }
  std::printf("drained %lu, duplicates %lu, late acks %lu\n", sum.drained, sum.duplicates, sum.late_acks);
}

TEST(PowerLossBroker, AtAnyChangeKeepsEveryPromise) { CrashAtEveryChange(CrashScenario::Crash::kPowerLoss); }

TEST(KilledBroker, AtAnyChangeKeepsEveryPromiseAlsoOfRelaxedQueues) {
  CrashAtEveryChange(CrashScenario::Crash::kKill);
}

}  // namespace
}  // namespace baton
