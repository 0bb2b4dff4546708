// A table with a damaged block: only what reads it fails.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_options.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

constexpr QueueId kQueue(7);
constexpr uint64_t kRows = 4'000;

std::string KeyOf(uint64_t n) {
  return ReadyKey(kQueue, {RankOfPriority(0), Seq((uint64_t{1} << 40) + 3 * n)});
}

class RocksDamage : public testing::Test {
 protected:
  RocksDamage() {
    Open();
    Commit commit;
    for (uint64_t n = 0; n < kRows; ++n) commit.Put(KeyOf(n), std::string(200, 'x') + std::to_string(n));
    commit.Put(ReadyKey(QueueId(8), {}), "innocent");
    Write(std::move(commit));
    Close();
    DamageATable();
    Open();
  }
  ~RocksDamage() override { Close(); }

  void Open() {
    auto store = RocksStore::Open({.path = path_,
                                   .memory_budget_bytes = 16u << 20,
                                   .ballast_bytes = 0,
                                   .disk_low_bytes = 0,
                                   .adjust = [](rocksdb::Options& options) {
                                     options.compression = rocksdb::kNoCompression;  // many blocks
                                     options.level0_file_num_compaction_trigger = 2;
                                   }});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    listener_ = std::make_unique<RecordingListener>();
    store_->Start(listener_.get());
    last_commit_ = CommitNumber();
  }
  void Close() {
    store_->Stop();
    store_.reset();
  }
  void Write(Commit commit) {
    last_commit_ = CommitNumber(last_commit_.value() + 1);
    ASSERT_TRUE(store_->Submit(last_commit_, std::move(commit), Promise::kSynced).ok());
    ASSERT_TRUE(listener_->WaitForSynced(last_commit_));
  }
  // 64 bytes in the middle of the largest one.
  void DamageATable() {
    const RocksMemoryPlan plan = PlanRocksMemory(16u << 20, 64u << 20);
    rocksdb::Options options = MakeRocksOptions({.plan = plan, .wal_bytes_max = 64u << 20});
    options.compression = rocksdb::kNoCompression;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, path_ + "/store", &db).ok());
    ASSERT_TRUE(db->Flush(rocksdb::FlushOptions()).ok());
    delete db;
    std::filesystem::path largest;
    for (const auto& entry : std::filesystem::directory_iterator(path_ + "/store")) {
      if (entry.path().extension() != ".sst") continue;
      if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest)) largest = entry.path();
    }
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(largest) / 2));
    file << std::string(64, '\xff');
  }

  ReadResult Read(ReadRequest request) {
    request.id = ReadId(++last_read_);
    const ReadId id = request.id;
    store_->Read(std::move(request));
    return listener_->WaitForRead(id);
  }
  // Of all rows of the queue, in chunks, from one on; stops at what fails.
  ReadResult ReadChunk(std::string begin, bool skip_damage) {
    return Read({.begin = std::move(begin),
                 .end = AllOf(RowKind::kReady, kQueue).end,
                 .rows_max = 300,
                 .bytes_max = 1u << 20,
                 .skip_damage = skip_damage});
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/data";
  std::unique_ptr<RecordingListener> listener_;
  std::unique_ptr<RocksStore> store_;
  CommitNumber last_commit_;
  uint64_t last_read_ = 0;
};

TEST_F(RocksDamage, FailsOnlyTheReadThatBeginsWithIt) {
  uint64_t next = 0;
  ReadResult read;
  while (true) {
    read = ReadChunk(KeyOf(next), false);
    if (!read.status.ok() || read.end_reached) break;
    ASSERT_FALSE(read.rows.empty());
    for (const Row& row : read.rows) ASSERT_EQ(row.key, KeyOf(next++));
  }
  EXPECT_EQ(read.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_GT(next, kRows / 4);
  EXPECT_LT(next, kRows * 3 / 4);
  EXPECT_EQ(Read({.begin = "R", .end = KeyOf(5), .rows_max = 100, .bytes_max = 1u << 20}).rows.size(), 5u);
  EXPECT_EQ(Read({.begin = KeyOf(kRows - 5), .end = "S", .rows_max = 100, .bytes_max = 1u << 20}).rows.size(),
            6u);
}

TEST_F(RocksDamage, IsSkippedOnDemandWithLittleElse) {
  std::vector<bool> found(kRows);
  std::string next = KeyOf(0);
  size_t skipped = 0;
  for (bool end = false; !end;) {
    const ReadResult read = ReadChunk(next, true);
    ASSERT_TRUE(read.status.ok()) << read.status;
    skipped += read.skipped;
    end = read.end_reached;
    for (const Row& row : read.rows)
      found[(ParseReadyKey(row.key)->position.seq.value() - (uint64_t{1} << 40)) / 3] = true;
    if (!end) next = read.rows.back().key + '\0';
  }
  EXPECT_EQ(skipped, 1u);
  const auto lost = std::count(found.begin(), found.end(), false);
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, 150);  // two blocks of 16 KiB: the bytes lie in one or two of them
}

TEST_F(RocksDamage, FailsOnlyTheRowsThatAreInIt) {
  std::vector<std::string> keys;
  for (uint64_t n = 0; n < kRows; n += 7) keys.push_back(KeyOf(n));
  const ReadResult read = Read({.keys = keys});
  ASSERT_TRUE(read.status.ok());
  size_t failed = 0;
  for (const Row& row : read.rows) {
    EXPECT_EQ(row.value.has_value(), row.status.ok());
    failed += row.status.ok() ? 0 : 1;
  }
  EXPECT_GT(failed, 0u);
  EXPECT_LT(failed, 40u);
}

// RocksDB would take no more writes.
TEST_F(RocksDamage, EndsNoWritesWhenACompactionMeetsIt) {
  for (int table = 0; table < 6; ++table) {
    Commit commit;
    for (uint64_t n = 0; n < kRows; ++n) {
      const QueueId queue(n % 2 == 0 ? 6 : 9);
      commit.Put(ReadyKey(queue, {0, Seq(kRows * static_cast<uint64_t>(table) + n)}), std::string(500, 'y'));
    }
    Write(std::move(commit));
    Close();
    Open();
  }
  Commit commit;
  commit.Put(ReadyKey(QueueId(10), {}), "still");
  Write(std::move(commit));
  EXPECT_EQ(listener_->failures(), 0);
}

}  // namespace
}  // namespace baton
