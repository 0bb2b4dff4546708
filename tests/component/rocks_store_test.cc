// RocksStore over the real RocksDB and the real file system.
#include "storage/rocks/rocks_store.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "storage/format/epoch_row.h"
#include "storage/format/keys.h"
#include "tests/support/recording_listener.h"
#include "tests/support/store_contract.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

class RocksHarness : public StoreHarness {
 public:
  std::unique_ptr<Store> Open() override {
    absl::StatusOr<std::unique_ptr<RocksStore>> store = RocksStore::Open({.path = directory_.path() + "/data",
                                                                          .memory_budget_bytes = 16u << 20,
                                                                          .ballast_bytes = 0,
                                                                          .check_alternation = true});
    if (!store.ok()) {
      ADD_FAILURE() << store.status();
      std::abort();
    }
    return *std::move(store);
  }

 private:
  TemporaryDirectory directory_;
};

class Deaf : public Store::Listener {
  void OnProgress(CommitNumber /*written*/, CommitNumber /*synced*/) override {}
  void OnRead(ReadResult /*result*/) override {}
  void OnDiskState(DiskState /*state*/) override {}
  void OnFailed(absl::Status status) override { ADD_FAILURE() << status; }
};

TEST(RocksStoreEpoch, IsAboveOneThatTheLifeBeforeRaisedWhileItRan) {
  TemporaryDirectory directory;
  const auto open = [&] {
    return RocksStore::Open(
               {.path = directory.path() + "/data", .memory_budget_bytes = 16u << 20, .ballast_bytes = 0})
        .value();
  };
  Deaf listener;
  Epoch raised;
  {
    const auto store = open();
    raised = Epoch(store->epoch().value() + 1);
    Commit commit;
    commit.Put(kEpochKey, EncodeEpoch(raised));
    store->Start(&listener);
    ASSERT_TRUE(store->Submit(CommitNumber(1), std::move(commit), Promise::kSynced).ok());
    store->Stop();
  }
  EXPECT_GT(open()->epoch(), raised);
}

INSTANTIATE_TEST_SUITE_P(Rocks, StoreContract,
                         testing::Values(StoreFactory([] { return std::make_unique<RocksHarness>(); })),
                         [](const auto&) { return "Store"; });

size_t TableBytes(const std::string& directory) {
  size_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/store")) {
    std::error_code gone;
    if (entry.path().extension() == ".sst") bytes += entry.file_size(gone);
  }
  return bytes;
}

// Without a commit more: a queue that is emptied need not see any traffic for a long time.
TEST(RocksStoreIdle, GivesBackWhatWasRemoved) {
  constexpr uint64_t kRows = 20'000;
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/data";
  const auto open = [&](std::chrono::milliseconds idle_flush) {
    return *RocksStore::Open(
        {.path = path, .memory_budget_bytes = 32u << 20, .ballast_bytes = 0, .idle_flush = idle_flush});
  };
  std::mt19937_64 random(1);
  for (const bool remove : {false, true}) {
    // The rows are in tables when they are removed: two memtables and more.
    std::unique_ptr<RocksStore> store = open(remove ? std::chrono::milliseconds(1) : std::chrono::hours(1));
    RecordingListener listener;
    store->Start(&listener);
    CommitNumber number;
    for (uint64_t row = 0; row < kRows;) {
      Commit commit;
      for (int i = 0; i < 500; ++i, ++row) {
        const std::string key = ReadyKey(QueueId(1), {RankOfPriority(0), Seq(row)});
        std::string body(1'000, ' ');
        for (char& c : body) c = static_cast<char>(random());
        remove ? commit.SingleDelete(key) : commit.Put(key, body);
      }
      number = CommitNumber(number.value() + 1);
      ASSERT_TRUE(store->Submit(number, std::move(commit), Promise::kSynced).ok());
      ASSERT_TRUE(listener.WaitForSynced(number));
    }
    if (remove) {
      EXPECT_GT(TableBytes(path), 5u << 20);
      uint64_t reads = 0;
      while (TableBytes(path) > 1u << 20) {
        store->Read({.id = ReadId(++reads), .keys = {"L"}});
        listener.WaitForRead(ReadId(reads));
      }
    }
    store->Stop();
  }
}

}  // namespace
}  // namespace baton
