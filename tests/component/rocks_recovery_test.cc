// What is cut from a damaged log, and what is refused (storage/rocks/rocks_recovery.h).
#include "storage/rocks/rocks_recovery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <tuple>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/posix_file.h"
#include "storage/rocks/data_directory.h"
#include "storage/rocks/log_scanner.h"
#include "storage/rocks/rocks_store.h"
#include "storage/rocks/write_mark.h"
#include "tests/support/crash_file_system.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct LoggedWrite {
  WriteMark mark;
  uint64_t begin;
  uint64_t end;
};

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    std::filesystem::create_directory(directory_.path() + "/graveyard");
    disk_ = CrashFileSystem::Create(directory_.path() + "/graveyard", 1);
  }

  std::string path() const { return directory_.path() + "/data"; }

  absl::StatusOr<std::unique_ptr<RocksStore>> Open() {
    return RocksStore::Open(
        {.path = path(), .ballast_bytes = 0, .check_alternation = true, .file_system = disk_});
  }

  // Row R<i> for each promise, one write each; then the process is killed.
  void WriteAndKill(const std::vector<Promise>& promises) {
    absl::StatusOr<std::unique_ptr<RocksStore>> store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    RecordingListener listener;
    (*store)->Start(&listener);
    uint64_t number = 0;
    for (const Promise promise : promises) {
      Commit commit;
      commit.Put(fmt::format("R{:03}", ++number), std::string(100, 'v'));
      std::ignore = (*store)->Submit(CommitNumber(number), std::move(commit), promise);
      ASSERT_TRUE(listener.WaitForWritten(CommitNumber(number)));
    }
    disk_->CutPower();
    store->reset();
    disk_->ResumeWithoutLoss();
  }

  // The one log file that holds writes.
  std::string LogFile() const {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(path() + "/store")) {
      if (entry.path().extension() == ".log" && entry.file_size() > 0) found = entry.path();
    }
    return found;
  }

  std::vector<LoggedWrite> WritesIn(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    LogScanner scanner(
        [&stream](char* buffer, size_t size) -> absl::StatusOr<size_t> {
          stream.read(buffer, static_cast<std::streamsize>(size));
          return static_cast<size_t>(stream.gcount());
        },
        kBatchHeadBytes);
    std::vector<LoggedWrite> writes;
    while (true) {
      const auto item = scanner.Next();
      EXPECT_TRUE(item.ok());
      if (!item->has_value()) return writes;
      EXPECT_EQ((*item)->kind, LogScanner::Item::Kind::kRecord);
      const std::optional<WriteMark> mark = MarkOfBatch((*item)->head);
      EXPECT_TRUE(mark.has_value());
      writes.push_back({.mark = *mark, .begin = (*item)->begin, .end = (*item)->end});
    }
  }

  void FlipByte(const std::string& file, uint64_t offset) {
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(stream.get());
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(static_cast<char>(byte ^ 0x5a));
  }

  std::map<std::string, std::string> Contents() {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::directory_iterator(path() + "/store")) {
      contents[entry.path()] = ReadFile(entry.path()).value();
    }
    return contents;
  }

  // How many of the rows R001, R002 … are there; fails when one is missing in between.
  uint64_t RowsFrom(RocksStore& store) {
    uint64_t rows = 0;
    const absl::Status status = store.ScanNow("R", "S", [&rows](std::string_view key, std::string_view) {
      EXPECT_EQ(key, fmt::format("R{:03}", ++rows));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return rows;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<CrashFileSystem> disk_;
};

const std::vector<Promise> kAllSynced(8, Promise::kSynced);

TEST_F(RecoveryTest, KeepsEverythingAfterAKill) {
  WriteAndKill({Promise::kSynced, Promise::kWritten, Promise::kWritten});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(RowsFrom(**store), 3u);
  EXPECT_THAT((*store)->recovery_report().cuts, IsEmpty());
}

TEST_F(RecoveryTest, RefusesDamageToWhatALaterWriteSaysWasSyncedWhereverItIs) {
  WriteAndKill(kAllSynced);
  const std::string log = LogFile();
  const std::vector<LoggedWrite> writes = WritesIn(log);
  const uint64_t claimed = writes.back().mark.synced;
  for (const LoggedWrite& write : writes) {
    if (write.mark.number > claimed) continue;
    for (uint64_t offset = write.begin; offset < write.end; offset += 3) {
      SCOPED_TRACE(fmt::format("write {} offset {}", write.mark.number, offset));
      FlipByte(log, offset);
      const auto before = Contents();
      const absl::Status refusal = Open().status();
      EXPECT_EQ(refusal.code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(refusal.message()),
                  HasSubstr(fmt::format("{} cannot be read at offset {}", log, write.begin)));
      EXPECT_EQ(Contents(), before);
      FlipByte(log, offset);
    }
  }
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(RowsFrom(**store), 8u);
}

TEST_F(RecoveryTest, CutsDamageToWhatWasNotSyncedAndReportsIt) {
  for (uint64_t damaged = 3; damaged <= 6; ++damaged) {
    for (const uint64_t into : {0, 5, 6, 30, 100}) {
      SCOPED_TRACE(fmt::format("row {} byte {}", damaged, into));
      std::filesystem::remove_all(path());
      WriteAndKill({Promise::kSynced, Promise::kSynced, Promise::kWritten, Promise::kWritten,
                    Promise::kWritten, Promise::kWritten});
      const std::string log = LogFile();
      const LoggedWrite write = WritesIn(log).at(damaged);  // at(0) raised the epoch
      FlipByte(log, write.begin + into);
      const auto store = Open();
      ASSERT_TRUE(store.ok()) << store.status();
      EXPECT_EQ(RowsFrom(**store), damaged - 1);
      const RecoveryReport& report = (*store)->recovery_report();
      ASSERT_THAT(report.cuts, SizeIs(1));
      EXPECT_EQ(report.cuts[0].file, log);
      EXPECT_EQ(report.cuts[0].offset, write.begin);
      EXPECT_EQ(report.lost_writes_min, 6 - damaged);
      EXPECT_EQ(report.last_write_number, write.mark.number - 1);
    }
  }
}

TEST_F(RecoveryTest, RefusesDamageToTheLastSyncedWriteOnceTheStoreWasIdle) {
  RecordingListener listener;
  absl::StatusOr<std::unique_ptr<RocksStore>> store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  (*store)->Start(&listener);
  Commit commit;
  commit.Put("R001", "v");
  std::ignore = (*store)->Submit(CommitNumber(1), std::move(commit), Promise::kSynced);
  (*store)->Stop();  // as after a second of silence, a bare mark is written
  store->reset();

  const std::string log = LogFile();
  const std::vector<LoggedWrite> writes = WritesIn(log);
  FlipByte(log, writes.at(1).begin + 20);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RecoveryTest, RefusesAHoleOfZerosInWhatWasSynced) {
  WriteAndKill(kAllSynced);
  const std::string log = LogFile();
  const std::vector<LoggedWrite> writes = WritesIn(log);
  std::fstream stream(log, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(static_cast<std::streamoff>(writes[2].begin));
  stream << std::string(writes[4].end - writes[2].begin, '\0');
  stream.close();
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(RecoveryTest, TakesZerosAtTheEndForSpaceThatWasNeverWritten) {
  WriteAndKill(kAllSynced);
  std::ofstream(LogFile(), std::ios::binary | std::ios::app) << std::string(100'000, '\0');
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(RowsFrom(**store), 8u);
  EXPECT_THAT((*store)->recovery_report().cuts, IsEmpty());
}

TEST_F(RecoveryTest, CutsATornWriteAtTheEnd) {
  WriteAndKill({Promise::kSynced, Promise::kWritten});
  const std::string log = LogFile();
  std::filesystem::resize_file(log, WritesIn(log).back().end - 1);
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(RowsFrom(**store), 1u);
  EXPECT_THAT((*store)->recovery_report().cuts, SizeIs(1));
}

TEST_F(RecoveryTest, RefusesALogOfAnotherStore) {
  WriteAndKill(kAllSynced);
  const DataIdentity other{
      .uuid = "00000000-0000-4000-8000-000000000000", .secret = 42, .store_created = true};
  ASSERT_TRUE(WriteFileSynced(path() + "/identity", FormatIdentity(other)).ok());
  const auto before = Contents();
  EXPECT_THAT(std::string(Open().status().message()), HasSubstr("did not write"));
  EXPECT_EQ(Contents(), before);
}

// A body that holds a copy of the store's own log, mark and all, except the secret, is not taken for writes.
TEST_F(RecoveryTest, IsNotFooledByALogInsideABody) {
  WriteAndKill(kAllSynced);
  const std::string foreign_log = ReadFile(LogFile()).value();
  std::filesystem::remove_all(path());
  {
    RecordingListener listener;
    absl::StatusOr<std::unique_ptr<RocksStore>> store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    (*store)->Start(&listener);
    Commit commit;
    commit.Put("R001", foreign_log);
    std::ignore = (*store)->Submit(CommitNumber(1), std::move(commit), Promise::kWritten);
    ASSERT_TRUE(listener.WaitForWritten(CommitNumber(1)));
    disk_->CutPower();
  }
  disk_->ResumeWithoutLoss();
  const std::string log = LogFile();
  FlipByte(log, WritesIn(log).at(1).begin + 1);
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(RowsFrom(**store), 0u);
}

TEST_F(RecoveryTest, RefusesAStoreWhoseFilesAreGone) {
  WriteAndKill(kAllSynced);
  std::filesystem::remove_all(path() + "/store");
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("CURRENT"));
}

TEST_F(RecoveryTest, NamesADamagedManifest) {
  WriteAndKill(kAllSynced);
  for (const auto& entry : std::filesystem::directory_iterator(path() + "/store")) {
    if (entry.path().filename().string().starts_with("MANIFEST")) FlipByte(entry.path(), 10);
  }
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path() + "/store"));
}

}  // namespace
}  // namespace baton
