// Power loss at every change a store makes to its disk, keeping any subset of what was not synced.
#include <fmt/format.h>
#include <tuple>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/crash_file_system.h"
#include "tests/support/random_seed.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using Rows = std::map<std::string, std::string>;

// A store on a disk that forgets, and the history of what it was told: states()[k] is what must be there
// after k commits.
class CrashingStore {
 public:
  // One of `synced_every` commits is synced.
  CrashingStore(uint64_t seed, uint64_t synced_every) : random_(seed), synced_every_(synced_every) {
    std::filesystem::create_directory(directory_.path() + "/graveyard");
    disk_ = CrashFileSystem::Create(directory_.path() + "/graveyard", seed);
  }

  CrashFileSystem& disk() { return *disk_; }

  // One life: opens, checks what is found against the history, submits `commits`, stops. Ends early when the
  // power goes.
  void Live(int commits) {
    absl::StatusOr<std::unique_ptr<RocksStore>> opened =
        RocksStore::Open({.path = directory_.path() + "/data",
                          .memory_budget_bytes = 2u << 20,
                          .wal_bytes_max = 1u << 20,
                          .ballast_bytes = 0,
                          .check_alternation = true,
                          .file_system = disk_});
    if (!opened.ok()) {
      ASSERT_FALSE(disk_->has_power()) << opened.status();
      return;
    }
    const std::unique_ptr<RocksStore> store = *std::move(opened);
    ASSERT_GT(store->epoch(), epoch_);
    epoch_ = store->epoch();
    ASSERT_NO_FATAL_FAILURE(CompareWithHistory(*store));
    RecordingListener listener;
    store->Start(&listener);
    const size_t base = states_.size() - 1;
    for (int i = 1; i <= commits && disk_->has_power(); ++i) {
      const CommitNumber number(static_cast<uint64_t>(i));
      std::ignore = store->Submit(number, NextCommit(),
                                  random_() % synced_every_ == 0 ? Promise::kSynced : Promise::kWritten);
      if (random_() % 2 == 0 && !listener.WaitForWritten(number)) break;
    }
    store->Stop();
    synced_ = base + listener.synced().value();
    EXPECT_EQ(listener.complaint(), "");
  }

  void LosePower() { disk_->RestorePower(); }

 private:
  void CompareWithHistory(RocksStore& store) {
    Rows found;
    const auto visit = [&found](std::string_view key, std::string_view value) {
      found.emplace(key, value);
      return absl::OkStatus();
    };
    for (const auto& [begin, end] : {std::pair("A", "M"), std::pair("N", "Z")}) {
      const absl::Status status = store.ScanNow(begin, end, visit);
      ASSERT_TRUE(status.ok()) << status;
    }
    const auto state = std::find(states_.rbegin(), states_.rend(), found);
    ASSERT_NE(state, states_.rend()) << "what is there was never the state after any commit";
    const size_t survived = static_cast<size_t>(states_.rend() - state) - 1;
    ASSERT_GE(survived, synced_) << "a commit that was reported synced is gone";
    states_.resize(survived + 1);
    synced_ = survived;
  }

  // Rows come and go, all kinds of operations; L0 counts, so that no two states are equal.
  Commit NextCommit() {
    Rows state = states_.back();
    Commit commit;
    for (uint64_t op = 1 + random_() % 4; op > 0; --op) {
      const std::string key = fmt::format("R{:02}", random_() % 30);
      if (state.erase(key) > 0) {
        commit.SingleDelete(key);
      } else {
        const std::string value(random_() % 6000, static_cast<char>('a' + random_() % 26));
        commit.Put(key, value);
        state[key] = value;
      }
    }
    if (random_() % 30 == 0) {
      commit.DeleteRange("R10", "R20");
      state.erase(state.lower_bound("R10"), state.lower_bound("R20"));
    }
    state["L0"] = std::to_string(++count_);
    commit.Put("L0", state["L0"]);
    states_.push_back(std::move(state));
    return commit;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<CrashFileSystem> disk_;
  std::mt19937_64 random_;
  const uint64_t synced_every_;
  Epoch epoch_;
  uint64_t count_ = 0;
  std::vector<Rows> states_{Rows()};
  size_t synced_ = 0;  // states_[synced_] was reported synced
};

constexpr int kCommits = 120;

uint64_t ChangesOfAScenario(uint64_t seed, uint64_t synced_every) {
  CrashingStore store(seed, synced_every);
  store.Live(kCommits);
  return store.disk().changes();
}

void LosePowerAtEveryChange(uint64_t synced_every) {
  const uint64_t seed = RandomSeed();
  const uint64_t changes = ChangesOfAScenario(seed, synced_every);
  ASSERT_GT(changes, 100u);
  for (uint64_t change = 1; change <= changes; ++change) {
    SCOPED_TRACE(fmt::format("BATON_SEED={} change {}", seed, change));
    CrashingStore store(seed + change, synced_every);
    store.disk().CutPowerAt(change);
    ASSERT_NO_FATAL_FAILURE(store.Live(kCommits));
    store.LosePower();
    ASSERT_NO_FATAL_FAILURE(store.Live(3));
    store.LosePower();
    ASSERT_NO_FATAL_FAILURE(store.Live(0));
  }
}

TEST(PowerLoss, AtAnyChangeKeepsAPrefixWithEverythingSynced) { LosePowerAtEveryChange(2); }

// Whole log files are unsynced when the power goes, and lost in part or altogether while later ones are not.
TEST(PowerLoss, AtAnyChangeKeepsAPrefixWhenHardlyAnythingIsSynced) { LosePowerAtEveryChange(40); }

TEST(PowerLoss, AgainAndAgainAlsoWhileRecovering) {
  const uint64_t seed = RandomSeed();
  std::mt19937_64 random(seed);
  for (int history = 0; history < 10; ++history) {
    SCOPED_TRACE(fmt::format("BATON_SEED={} history {}", seed, history));
    CrashingStore store(random(), history % 2 == 0 ? 2 : 40);
    for (int life = 0; life < 12; ++life) {
      SCOPED_TRACE(fmt::format("life {}", life));
      // Often within the first changes after the start: in the middle of recovery.
      store.disk().CutPowerAt(1 + random() % (life % 2 == 0 ? 30 : 400));
      ASSERT_NO_FATAL_FAILURE(store.Live(kCommits));
      store.LosePower();
    }
    ASSERT_NO_FATAL_FAILURE(store.Live(1));
  }
}

}  // namespace
}  // namespace baton
