// Power loss, and kill -9, at every change that a broker makes to its disk: nothing confirmed is lost,
// nothing is invented, nothing whose ack was confirmed comes back, and the counts are what can be taken.
#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/crash_scenario.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using Crash = CrashScenario::Crash;

constexpr int kSteps = 500;
// A history mostly waits: RocksDB sleeps a second after a compaction that failed for want of power.
constexpr int kHistoriesAtATime = 40;

// One history; "" when all is well. The power goes at `change`, in every third history again in the middle of
// the drain, and sometimes between two lives of clients.
std::string CrashAt(uint64_t change, uint64_t seed, Crash crash, CrashScenario::Tally& tally) {
  CrashScenario scenario(seed, crash);
  std::mt19937_64 random(seed);
  scenario.disk().CutPowerAt(change);
  scenario.Live(kSteps);
  scenario.CrashNow();
  if (change % 4 == 1) {
    scenario.disk().CutPowerAt(1 + random() % 120);
    scenario.Live(kSteps / 4);
    scenario.CrashNow();
  }
  if (change % 3 == 0) {
    scenario.disk().CutPowerAt(1 + random() % 60);
    scenario.Drain();
    scenario.CrashNow();
  }
  if (!scenario.Drain()) return "the drain does not come to its end: " + scenario.complaint();
  if (change % 8 == 0) scenario.CheckNoRowsLeft();
  tally = scenario.tally();
  return scenario.complaint();
}

uint64_t ChangesOfAScenario(uint64_t seed, Crash crash) {
  CrashScenario scenario(seed, crash);
  scenario.Live(kSteps);
  EXPECT_EQ(scenario.complaint(), "");
  const CrashScenario::Tally& tally = scenario.tally();
  fmt::print("published {}, delivered {}, acked {}, returned {}, given up {}, purges {}, changes {}\n",
             tally.published, tally.delivered, tally.acked, tally.returned, tally.given_up, tally.purges,
             scenario.disk().changes());
  return scenario.disk().changes();
}

void CrashAtEveryChange(Crash crash) {
  const uint64_t seed = RandomSeed();
  const uint64_t changes = ChangesOfAScenario(seed, crash);
  ASSERT_GT(changes, 100u);
  // BATON_CHANGE repeats one history.
  const char* only = std::getenv("BATON_CHANGE");
  const uint64_t first = only == nullptr ? 1 : std::stoull(only);
  const uint64_t last = only == nullptr ? changes : first;
  std::atomic<uint64_t> next{first};
  std::mutex mutex;
  CrashScenario::Tally sum;
  const auto run = [&] {
    for (uint64_t change = next++; change <= last; change = next++) {
      CrashScenario::Tally tally;
      const std::string complaint = CrashAt(change, seed + change, crash, tally);
      const std::lock_guard lock(mutex);
      if (!complaint.empty())
        ADD_FAILURE() << fmt::format("BATON_SEED={} change {}: {}", seed, change, complaint);
      sum.drained += tally.drained;
      sum.duplicates += tally.duplicates;
      sum.late_acks += tally.late_acks;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kHistoriesAtATime; ++i) threads.emplace_back(run);
  for (std::thread& thread : threads) thread.join();
  fmt::print("drained {}, duplicates {}, late acks {}\n", sum.drained, sum.duplicates, sum.late_acks);
  // All of it has happened somewhere.
  EXPECT_GT(sum.drained, 0u);
  EXPECT_GT(sum.duplicates, 0u);
  EXPECT_GT(sum.late_acks, 0u);
}

TEST(PowerLossBroker, AtAnyChangeKeepsEveryPromise) { CrashAtEveryChange(Crash::kPowerLoss); }

TEST(KilledBroker, AtAnyChangeKeepsEveryPromiseAlsoOfRelaxedQueues) { CrashAtEveryChange(Crash::kKill); }

}  // namespace
}  // namespace baton
