// A full disk, on a small file system of its own. Needs the right to mount one; says so and skips where it
// may not.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>
#include <tuple>

#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/rocks/disk_watch.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

constexpr uint64_t kDiskBytes = 64u << 20;
constexpr uint64_t kReserveBytes = 8u << 20;

class DiskFullTest : public testing::Test {
 protected:
  void SetUp() override {
    // In a mount namespace of this process: nothing is left behind, whatever happens. Once, before there are
    // threads, which would stay in the old one.
    static const bool may_mount =
        unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    const bool mounted = may_mount && mount("tmpfs", disk().c_str(), "tmpfs", 0,
                                            fmt::format("size={}", kDiskBytes).c_str()) == 0;
    if (!mounted) GTEST_SKIP() << "needs the right to mount a small file system (root)";
    mounted_ = true;
  }
  void TearDown() override {
    Close();
    if (mounted_) umount2(disk().c_str(), MNT_DETACH);
  }

  std::string disk() const { return directory_.path(); }

  void Open() {
    absl::StatusOr<std::unique_ptr<RocksStore>> store = RocksStore::Open({.path = disk() + "/data",
                                                                          .memory_budget_bytes = 2u << 20,
                                                                          .wal_bytes_max = 1u << 20,
                                                                          .ballast_bytes = kReserveBytes,
                                                                          .disk_low_bytes = kReserveBytes,
                                                                          .check_alternation = true});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    listener_ = std::make_unique<RecordingListener>();
    last_ = CommitNumber();
    store_->Start(listener_.get());
  }
  void Close() {
    if (store_ == nullptr) return;
    store_->Stop();
    if (listener_->failures() > 0) ADD_FAILURE() << listener_->WaitForFailure();
    EXPECT_EQ(listener_->complaint(), "");
    store_.reset();
  }

  void Submit(Commit commit) {
    last_ = CommitNumber(last_.value() + 1);
    std::ignore = store_->Submit(last_, std::move(commit), Promise::kSynced);
  }
  void Put(int row, size_t bytes) {
    Commit commit;
    std::string body(bytes, '\0');  // not to be compressed
    for (char& byte : body) byte = static_cast<char>(random_());
    commit.Put(fmt::format("R{:06}", row), body);
    Submit(std::move(commit));
  }
  void Remove(int row) {
    Commit commit;
    commit.SingleDelete(fmt::format("R{:06}", row));
    Submit(std::move(commit));
  }

  // Another program takes all but `left` bytes.
  void FillDisk(uint64_t left) {
    const int fd = open((disk() + "/other").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    const uint64_t free = SpaceOf(disk())->free_bytes;
    const int error = free > left ? posix_fallocate(fd, 0, static_cast<off_t>(free - left)) : 0;
    close(fd);
    ASSERT_EQ(error, 0);
  }
  void EmptyDisk() { std::filesystem::remove(disk() + "/other"); }

  TemporaryDirectory directory_;
  bool mounted_ = false;
  std::unique_ptr<RecordingListener> listener_;
  std::unique_ptr<RocksStore> store_;
  CommitNumber last_;
  std::minstd_rand random_;
};

TEST_F(DiskFullTest, GoesOnWritingFromTheBallastAndRecovers) {
  Open();
  FillDisk(0);
  // Several logs' and memtables' worth.
  for (int row = 0; row < 300; ++row) {
    Put(row, 10'000);
    Remove(row);
  }
  ASSERT_TRUE(listener_->WaitForSynced(last_));
  listener_->WaitForDiskState(DiskState::kLow);
  EXPECT_FALSE(std::filesystem::exists(disk() + "/data/ballast"));

  EmptyDisk();
  listener_->WaitForDiskState(DiskState::kOk);
  EXPECT_EQ(std::filesystem::file_size(disk() + "/data/ballast"), kReserveBytes);
}

TEST_F(DiskFullTest, IsToldBeforeItIsFull) {
  Open();
  FillDisk(kReserveBytes / 2);
  listener_->WaitForDiskState(DiskState::kLow);
  EXPECT_TRUE(std::filesystem::exists(disk() + "/data/ballast"));
  EmptyDisk();
  listener_->WaitForDiskState(DiskState::kOk);
}

TEST_F(DiskFullTest, AStartOnAFullDiskServesFromTheBallastAndSaysLow) {
  Open();
  for (int row = 0; row < 50; ++row) Put(row, 10'000);
  Close();
  FillDisk(0);
  Open();
  listener_->WaitForDiskState(DiskState::kLow);
  for (int row = 0; row < 50; ++row) Remove(row);
  ASSERT_TRUE(listener_->WaitForSynced(last_));
  Close();
  Open();
  EmptyDisk();
  listener_->WaitForDiskState(DiskState::kOk);
}

TEST_F(DiskFullTest, RecoversByItselfWhenItsOwnRowsFilledItAndAreTaken) {
  Open();
  // As the broker does: publish until told that the disk is low, then only deliver and ack.
  int rows = 0;
  while (listener_->disk_state() != DiskState::kLow) {
    Put(rows++, 50'000);
    ASSERT_TRUE(listener_->WaitForSynced(last_));
  }
  ASSERT_GT(rows, 100);
  for (int row = 0; row < rows; ++row) Remove(row);
  ASSERT_TRUE(listener_->WaitForSynced(last_));
  // New, small messages make the memtables turn over, as traffic does.
  for (int turn = 0; listener_->disk_state() != DiskState::kOk; ++turn) {
    Put(1'000'000 + turn, 1'000);
    Remove(1'000'000 + turn);
    ASSERT_TRUE(listener_->WaitForSynced(last_));
  }
}

}  // namespace
}  // namespace baton
