// A store that fails: once, loudly, and nothing after it counts. And a caller that breaks the rules of rows.
#include <fmt/format.h>
#include <tuple>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/crash_file_system.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::HasSubstr;

class FailureTest : public testing::Test {
 protected:
  FailureTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    std::filesystem::create_directory(directory_.path() + "/graveyard");
    disk_ = CrashFileSystem::Create(directory_.path() + "/graveyard", 1);
    Open();
  }
  ~FailureTest() override { Close(); }

  void Open() {
    absl::StatusOr<std::unique_ptr<RocksStore>> store = RocksStore::Open({.path = directory_.path() + "/data",
                                                                          .memory_budget_bytes = 2u << 20,
                                                                          .ballast_bytes = 0,
                                                                          .check_alternation = true,
                                                                          .file_system = disk_});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    listener_ = std::make_unique<RecordingListener>();
    last_ = CommitNumber();
    store_->Start(listener_.get());
  }
  void Close() {
    store_->Stop();
    EXPECT_EQ(listener_->complaint(), "");
    store_.reset();
  }

  CommitNumber Submit(Commit commit, Promise promise = Promise::kSynced) {
    last_ = CommitNumber(last_.value() + 1);
    std::ignore = store_->Submit(last_, std::move(commit), promise);
    return last_;
  }
  CommitNumber Put(const std::string& key, Promise promise = Promise::kSynced) {
    Commit commit;
    commit.Put(key, "v");
    return Submit(std::move(commit), promise);
  }

  TemporaryDirectory directory_;
  std::shared_ptr<CrashFileSystem> disk_;
  std::unique_ptr<RecordingListener> listener_;
  std::unique_ptr<RocksStore> store_;
  CommitNumber last_;
};

TEST_F(FailureTest, AFailedSyncPoisonsTheStore) {
  ASSERT_TRUE(listener_->WaitForSynced(Put("R1")));
  disk_->FailOnce({.operation = CrashFileSystem::Operation::kSync,
                   .suffix = ".log",
                   .n = 1,
                   .status = rocksdb::IOStatus::IOError("the disk is gone")});
  Put("R2");
  const absl::Status failure = listener_->WaitForFailure();
  EXPECT_THAT(std::string(failure.message()), HasSubstr("the disk is gone"));
  for (int i = 3; i < 20; ++i) Put(fmt::format("R{}", i));
  store_->Read({.id = ReadId(1), .keys = {"R1"}});
  EXPECT_FALSE(listener_->WaitForRead(ReadId(1)).status.ok());
  store_->Stop();
  EXPECT_EQ(listener_->synced(), CommitNumber(1));
  EXPECT_EQ(listener_->failures(), 1);
}

TEST_F(FailureTest, AFailedWritePoisonsTheStore) {
  ASSERT_TRUE(listener_->WaitForSynced(Put("R1")));
  disk_->FailOnce({.operation = CrashFileSystem::Operation::kAppend,
                   .suffix = ".log",
                   .n = 1,
                   .status = rocksdb::IOStatus::NoSpace("full")});
  const CommitNumber failed = Put("R2", Promise::kWritten);
  EXPECT_EQ(listener_->WaitForFailure().code(), absl::StatusCode::kResourceExhausted);
  Put("R3");
  EXPECT_FALSE(listener_->WaitForWritten(failed));
  EXPECT_EQ(listener_->written(), CommitNumber(1));
}

TEST_F(FailureTest, ARelaxedCommitWhoseSyncFailsLaterPoisonsTheStore) {
  disk_->FailOnce({.operation = CrashFileSystem::Operation::kSync,
                   .suffix = ".log",
                   .n = 1,
                   .status = rocksdb::IOStatus::IOError("the disk is gone")});
  ASSERT_TRUE(listener_->WaitForWritten(Put("R1", Promise::kWritten)));
  EXPECT_FALSE(listener_->WaitForFailure().ok());
  EXPECT_EQ(listener_->synced(), CommitNumber());
}

TEST_F(FailureTest, AtTheLastSyncIsTold) {
  disk_->FailOnce({.operation = CrashFileSystem::Operation::kSync,
                   .suffix = ".log",
                   .n = 1,
                   .status = rocksdb::IOStatus::IOError("the disk is gone")});
  ASSERT_TRUE(listener_->WaitForWritten(Put("R1", Promise::kWritten)));
  store_->Stop();
  EXPECT_THAT(std::string(store_->failure().message()), HasSubstr("the disk is gone"));
}

TEST_F(FailureTest, IsNotToldOfAStoreThatStoppedInOrder) {
  Put("R1", Promise::kWritten);
  store_->Stop();
  EXPECT_TRUE(store_->failure().ok()) << store_->failure();
}

TEST_F(FailureTest, WhatWasSyncedBeforeIsThereAfterwards) {
  ASSERT_TRUE(listener_->WaitForSynced(Put("R1")));
  disk_->FailOnce({.operation = CrashFileSystem::Operation::kSync,
                   .suffix = ".log",
                   .n = 1,
                   .status = rocksdb::IOStatus::IOError("the disk is gone")});
  Put("R2");
  EXPECT_FALSE(listener_->WaitForFailure().ok());
  Close();
  disk_->RestorePower();
  Open();
  store_->Read({.id = ReadId(1), .keys = {"R1"}});
  EXPECT_EQ(listener_->WaitForRead(ReadId(1)).rows.at(0).value, "v");
}

TEST_F(FailureTest, NothingIsReportedSyncedBeforeItIs) {
  // Whatever the store says is synced survives a power loss at that very moment.
  for (int i = 1; i <= 6; ++i) {
    ASSERT_TRUE(listener_->WaitForSynced(
        Put(fmt::format("R{:03}", i), i % 2 == 0 ? Promise::kSynced : Promise::kWritten)))
        << i;
    disk_->CutPower();
    Close();
    disk_->RestorePower();
    Open();
    store_->Read({.id = ReadId(1), .keys = {fmt::format("R{:03}", i)}});
    ASSERT_EQ(listener_->WaitForRead(ReadId(1)).rows.at(0).value, "v") << i;
  }
}

using FailureDeathTest = FailureTest;

TEST_F(FailureDeathTest, ASecondPutOnARowIsABug) {
  EXPECT_DEATH(
      {
        Put("R1");
        listener_->WaitForSynced(Put("R1"));
      },
      "a second Put on R");
}

TEST_F(FailureDeathTest, ASingleDeleteOfWhatIsNotThereIsABug) {
  EXPECT_DEATH(
      {
        Commit commit;
        commit.SingleDelete("R1");
        listener_->WaitForSynced(Submit(std::move(commit)));
      },
      "SingleDelete of a row that is not there: R");
}

TEST_F(FailureDeathTest, TheRuleHoldsOverAReopening) {
  listener_->WaitForSynced(Put("R1"));
  Close();
  Open();
  EXPECT_DEATH(listener_->WaitForSynced(Put("R1")), "a second Put on R");
  Commit commit;
  commit.SingleDelete("R1");
  commit.Put("R1", "again");
  EXPECT_TRUE(listener_->WaitForSynced(Submit(std::move(commit))));
}

TEST_F(FailureDeathTest, TheRuleHoldsWithinACommitAndAcrossARangeDeletion) {
  Commit commit;
  commit.Put("R1", "a");
  commit.Put("R2", "a");
  commit.DeleteRange("R1", "R2");
  commit.Put("R1", "b");
  EXPECT_TRUE(listener_->WaitForSynced(Submit(std::move(commit))));
  EXPECT_DEATH(listener_->WaitForSynced(Put("R2")), "a second Put on R");
}

TEST_F(FailureDeathTest, DeleteAndSingleDeleteAreNotMixed) {
  EXPECT_DEATH(
      {
        Put("R1");
        Commit commit;
        commit.Delete("R1");
        listener_->WaitForSynced(Submit(std::move(commit)));
      },
      "Delete on a row that alternates");
  EXPECT_DEATH(
      {
        Put("L1");
        Commit commit;
        commit.SingleDelete("L1");
        listener_->WaitForSynced(Submit(std::move(commit)));
      },
      "SingleDelete on a row of another kind");
}

TEST_F(FailureDeathTest, TheStoresOwnRowsAreNotForOthers) {
  EXPECT_DEATH(listener_->WaitForSynced(Put("Mwrite")), "the write mark is the store.s own");
}

TEST_F(FailureDeathTest, CommitsAreNumberedWithoutAGap) {
  EXPECT_DEATH(std::ignore = store_->Submit(CommitNumber(2), Commit(), Promise::kSynced), "check failed");
}

}  // namespace
}  // namespace baton
