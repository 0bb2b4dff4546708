// RocksStore over the real RocksDB and the real file system.
#include "storage/rocks/rocks_store.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "storage/format/epoch_row.h"
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

}  // namespace
}  // namespace baton
