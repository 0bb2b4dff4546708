// A store as it becomes with time: tables of more than 10 MB with several index partitions on three levels,
// rows of every kind, tombstones of every kind, several lives. Whatever the store offers to read is compared
// with a plain map; over RocksDB set up in several ways, and as earlier versions set it up.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_options.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/random_seed.h"
#include "tests/support/recording_listener.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using Adjust = void (*)(rocksdb::Options&);

constexpr size_t kBudgetBytes = 64u << 20;  // tables of 16 MiB
constexpr size_t kLogBytesMax = 64u << 20;
constexpr uint32_t kQueues = 4;

void ChangeTables(rocksdb::Options& options, void (*change)(rocksdb::BlockBasedTableOptions&)) {
  auto table = *options.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  change(table);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
}

void AsShipped(rocksdb::Options&) {}

// The filters of the first version: those over other rows than A and I are empty.
class OldPrefix : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "baton.PointReadPrefix"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return key; }
  bool InDomain(const rocksdb::Slice& key) const override { return key[0] == 'A' || key[0] == 'I'; }
};
void WithPartitionedFilters(rocksdb::Options& options) {
  options.prefix_extractor = std::make_shared<OldPrefix>();
  ChangeTables(options, [](rocksdb::BlockBasedTableOptions& table) { table.partition_filters = true; });
}

void SmallBlocks(rocksdb::Options& options) {
  ChangeTables(options, [](rocksdb::BlockBasedTableOptions& table) {
    table.block_size = 1u << 10;
    table.metadata_block_size = 1u << 10;
  });
}

void NothingCached(rocksdb::Options& options) {
  options.compression = rocksdb::kNoCompression;
  ChangeTables(options, [](rocksdb::BlockBasedTableOptions& table) {
    table.no_block_cache = true;
    table.block_cache = nullptr;
    table.cache_index_and_filter_blocks = false;
  });
}

struct Variation {
  const char* name;
  Adjust first;   // the tables of the lowest level are written so
  Adjust second;  // those above
  Adjust last;    // and read so
};

void PrintTo(const Variation& variation, std::ostream* out) { *out << variation.name; }

std::string AttemptsKeyOf(std::string_view key) {
  const auto parts = ParseMessageKey(key);
  return parts.has_value() ? AttemptsKey(parts->queue, parts->seq) : AttemptsKey(QueueId(1), Seq(1));
}

class RocksLargeStore : public testing::TestWithParam<Variation> {
 protected:
  RocksLargeStore() : random_(RandomSeed()) {}

  // Two levels of large tables by compactions, level 0 and the log by the last life.
  void GrowOld() {
    Live(GetParam().first, 26u << 20);
    CompactTo(2, GetParam().first);
    Live(GetParam().second, 13u << 20);
    CompactTo(1, GetParam().second);
    Live(GetParam().second, 9u << 20);
    Live(GetParam().last, 2u << 20);
    ExpectThreeLevels();
    Open(GetParam().last);
  }
  void ExpectThreeLevels() {
    const auto db = OpenRocks(GetParam().last);
    std::map<int, size_t> levels;
    for (const rocksdb::LiveFileMetaData& file : Tables(*db)) levels[file.level] += file.size;
    EXPECT_GT(levels[0], 1u << 20);
    EXPECT_GT(levels[1], 10u << 20);
    EXPECT_GT(levels[2], 10u << 20);
    rocksdb::TablePropertiesCollection tables;
    ASSERT_TRUE(db->GetPropertiesOfAllTables(&tables).ok());
    const auto large = std::count_if(tables.begin(), tables.end(), [](const auto& table) {
      return table.second->data_size > 10u << 20 && table.second->index_partitions > 2;
    });
    EXPECT_GE(large, 2);
  }

  void Open(Adjust adjust) {
    absl::StatusOr<std::unique_ptr<RocksStore>> store =
        RocksStore::Open({.path = path_,
                          .memory_budget_bytes = kBudgetBytes,
                          .wal_bytes_max = kLogBytesMax,
                          .ballast_bytes = 0,
                          .disk_low_bytes = 0,
                          .check_alternation = false,
                          .adjust = [adjust](rocksdb::Options& options) {
                            options.disable_auto_compactions = true;  // the test says when
                            adjust(options);
                          }});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Start() {
    listener_ = std::make_unique<RecordingListener>();
    store_->Start(listener_.get());
  }
  void Close() {
    store_->Stop();
    EXPECT_EQ(listener_->complaint(), "");
    EXPECT_EQ(listener_->failures(), 0);
    store_.reset();
  }

  // A life of the store in which so many bytes are put.
  void Live(Adjust adjust, size_t bytes) {
    Open(adjust);
    Start();
    CommitNumber number;
    for (size_t put = 0; put < bytes;) {
      Commit commit;
      if (put == 0) Purge(commit);
      while (commit.bytes() < 256u << 10) {
        random_() % 4 != 0 ? Put(commit) : Remove(commit);
      }
      put += commit.bytes();
      number = CommitNumber(number.value() + 1);
      ASSERT_TRUE(store_->Submit(number, std::move(commit), Promise::kWritten).ok());
      if (number.value() % 16 == 0) {
        ASSERT_TRUE(listener_->WaitForWritten(number));
      }
    }
    Close();
  }

  void Put(Commit& commit) {
    const std::string key = NewKey();
    const bool message = key[0] == 'R' || key[0] == 'D' || key[0] == 'P';
    const std::string value = ValueOf(message ? 40 + random_() % 900 : 20 + random_() % 40);
    if (!Overwritten(key) && rows_.contains(key)) return;
    commit.Put(key, value);
    rows_.insert_or_assign(key, value);
  }
  void Remove(Commit& commit) {
    const auto it = rows_.lower_bound(NewKey());
    if (it == rows_.end()) return;
    Overwritten(it->first) ? commit.Delete(it->first) : commit.SingleDelete(it->first);
    gone_.push_back(it->first);
    rows_.erase(it);
  }
  void Purge(Commit& commit) {
    const QueueId queue(1 + random_() % kQueues);
    for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts}) {
      const KeyRange range = AllOf(kind, queue);
      commit.DeleteRange(range.begin, range.end);
      const auto begin = rows_.lower_bound(range.begin);
      const auto end = rows_.lower_bound(range.end);
      for (auto it = begin; it != end; ++it) gone_.push_back(it->first);
      rows_.erase(begin, end);
    }
  }

  static bool Overwritten(const std::string& key) {
    return std::string_view("AILQN").find(key[0]) != std::string_view::npos;
  }
  std::string NewKey() {
    const QueueId queue(1 + random_() % kQueues);
    const Seq seq((uint64_t{1} << 40) + random_() % 400'000);
    switch (random_() % 12) {
      case 0:
        return DelayedKey(queue, {InstantFromMicros(static_cast<int64_t>(random_() % 100'000)), seq});
      case 1:
        return ParkedKey(queue, seq);
      case 2:
      case 3:
        return ExpiryKey({InstantFromMicros(static_cast<int64_t>(random_() % 100'000)), queue, seq});
      case 4:
        return AttemptsKey(queue, seq);
      case 5:
        return LocatorKey(seq);
      case 6:
        return random_() % 2 ? LedgerKey(queue) : QueueKey("queue" + std::to_string(random_() % 50));
      case 7:
        return ProducerKey(ProducerId(random_() % 1'000));
      default:
        return ReadyKey(queue, {RankOfPriority(static_cast<uint32_t>(random_() % 3)), seq});
    }
  }
  std::string ValueOf(size_t bytes) {  // nothing to compress
    std::string value;
    while (value.size() < bytes) AppendFixed64(value, random_());
    return value;
  }

  // Everything that level 0 and the levels down to `level` hold becomes tables there.
  void CompactTo(int level, Adjust adjust) {
    const auto db = OpenRocks(adjust);
    ASSERT_TRUE(db->Flush(rocksdb::FlushOptions()).ok());
    std::vector<std::string> files;
    for (const rocksdb::LiveFileMetaData& file : Tables(*db)) {
      if (file.level < level) files.push_back(file.name);
    }
    const rocksdb::Status status = db->CompactFiles(rocksdb::CompactionOptions(), files, level);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  std::unique_ptr<rocksdb::DB> OpenRocks(Adjust adjust) {
    rocksdb::Options options = MakeRocksOptions(
        {.plan = PlanRocksMemory(kBudgetBytes, kLogBytesMax), .wal_bytes_max = kLogBytesMax});
    options.disable_auto_compactions = true;
    adjust(options);
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, path_ + "/store", &db);
    BATON_CHECK(status.ok()) << status.ToString();
    return std::unique_ptr<rocksdb::DB>(db);
  }
  static std::vector<rocksdb::LiveFileMetaData> Tables(rocksdb::DB& db) {
    std::vector<rocksdb::LiveFileMetaData> tables;
    db.GetLiveFilesMetaData(&tables);
    return tables;
  }

  ReadResult Read(ReadRequest request) {
    request.id = ReadId(++last_read_);
    const ReadId id = request.id;
    store_->Read(std::move(request));
    ReadResult result = listener_->WaitForRead(id);
    EXPECT_TRUE(result.status.ok()) << result.status;
    return result;
  }

  // Of rows there are and rows there are not, in any order.
  std::vector<std::string> SomeKeys(size_t count) {
    std::vector<std::string> keys;
    for (size_t i = 0; i < count; ++i) {
      const auto it = rows_.lower_bound(NewKey());
      if (it != rows_.end()) keys.push_back(it->first);
      keys.push_back(NewKey());
      if (!gone_.empty()) keys.push_back(gone_[random_() % gone_.size()]);
    }
    std::shuffle(keys.begin(), keys.end(), random_);
    return keys;
  }

  // Of the first ones, when there are to be so many bytes.
  void ExpectRowsOf(const std::vector<std::string>& keys, size_t bytes_max) {
    if (keys.empty()) return;
    ReadRequest request{.keys = keys, .companion = &AttemptsKeyOf};
    request.bytes_max = bytes_max;
    const ReadResult read = Read(std::move(request));
    ASSERT_GE(read.rows.size(), std::min<size_t>(keys.size(), bytes_max == 0 ? keys.size() : 2));
    size_t bytes = 0;
    for (size_t i = 0; i < read.rows.size(); ++i) {
      ASSERT_TRUE(read.rows[i].value == Expected(keys[i])) << testing::PrintToString(keys[i]);
      if (!read.rows[i].value.has_value()) continue;
      bytes += read.rows[i].value->size();
      ASSERT_TRUE(read.rows[i].companion == Expected(AttemptsKeyOf(keys[i])));
    }
    ASSERT_TRUE(read.rows.size() == keys.size() || bytes >= bytes_max);
  }

  std::optional<std::string> Expected(const std::string& key) const {
    const auto it = rows_.find(key);
    return it == rows_.end() ? std::nullopt : std::optional(it->second);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/data";
  std::mt19937_64 random_;
  std::map<std::string, std::string> rows_;  // what must be there
  std::vector<std::string> gone_;
  std::unique_ptr<RecordingListener> listener_;
  std::unique_ptr<RocksStore> store_;
  uint64_t last_read_ = 0;
};

TEST_P(RocksLargeStore, ReadsEveryRowThereIsAndNoOther) {
  GrowOld();
  std::map<std::string, std::string> scanned;
  const auto visit = [&scanned](std::string_view key, std::string_view value) {
    if (key[0] != 'M') scanned.emplace(key, value);
    return absl::OkStatus();
  };
  ASSERT_TRUE(store_->ScanNow("A", "Z", visit).ok());
  EXPECT_TRUE(scanned == rows_) << scanned.size() << " rows instead of " << rows_.size();
  Start();

  // By key, all of them.
  auto at = rows_.begin();
  while (at != rows_.end()) {
    std::vector<std::string> keys = SomeKeys(20);
    std::vector<std::string> close;  // and in order, so that they are met on a walk
    for (int i = 0; i < 200 && at != rows_.end(); ++i, ++at) {
      keys.push_back(at->first);
      if (random_() % 4 != 0) close.push_back(at->first);
      if (random_() % 4 == 0) close.push_back(at->first + '\0');
    }
    ExpectRowsOf(keys, 0);
    ExpectRowsOf(close, 0);
    ExpectRowsOf(close, 10'000);
    std::sort(keys.begin(), keys.end());  // a walk that ends, or is not worth it
    ExpectRowsOf(keys, 0);
  }
  // A message as the engine looks for it: the row of its birth, its locator, its attempts.
  for (int i = 0; i < 2'000; ++i) {
    const std::vector<std::string> keys = SomeKeys(1);
    const ReadResult read = Read({.keys = keys});
    for (size_t k = 0; k < keys.size(); ++k) ASSERT_TRUE(read.rows[k].value == Expected(keys[k]));
  }
  // In order, and backwards, in chunks, with companions.
  for (const bool reverse : {false, true}) {
    std::map<std::string, std::string> found;
    ReadRequest next{.begin = "N", .end = "Z", .rows_max = 1'000, .bytes_max = 1u << 20, .reverse = reverse};
    next.companion = &AttemptsKeyOf;
    for (bool end = false; !end;) {
      ReadResult read = Read(next);
      end = read.end_reached;
      ASSERT_TRUE(end || !read.rows.empty());
      if (!end)
        (reverse ? next.end : next.begin) = read.rows.back().key + (reverse ? "" : std::string(1, '\0'));
      for (Row& row : read.rows) {
        ASSERT_TRUE(row.companion == Expected(AttemptsKeyOf(row.key)));
        found.emplace(std::move(row.key), *std::move(row.value));
      }
    }
    EXPECT_TRUE(std::equal(found.begin(), found.end(), rows_.lower_bound("N"), rows_.end())) << found.size();
  }
  // From anywhere to anywhere.
  for (int i = 0; i < 2'000; ++i) {
    const auto [begin, end] = std::minmax({NewKey(), NewKey()});
    const ReadResult read = Read({.begin = begin, .end = end, .rows_max = 5, .bytes_max = 1u << 20});
    auto expected = rows_.lower_bound(begin);
    for (const Row& row : read.rows) {
      while (row.key[0] != 'M' && expected->first[0] == 'M') ++expected;
      if (row.key[0] == 'M') continue;
      ASSERT_TRUE(expected->first == row.key && expected->second == *row.value);
      ++expected;
    }
    ASSERT_TRUE(!read.end_reached || expected == rows_.lower_bound(end));
  }
  Close();
}

INSTANTIATE_TEST_SUITE_P(
    Set, RocksLargeStore,
    testing::Values(Variation{"UpAsShipped", AsShipped, AsShipped, AsShipped},
                    Variation{"UpWithSmallBlocks", SmallBlocks, SmallBlocks, SmallBlocks},
                    Variation{"UpWithoutCache", NothingCached, NothingCached, NothingCached},
                    Variation{"UpWithPartitionedFiltersUntilNow", WithPartitionedFilters,
                              WithPartitionedFilters, AsShipped},
                    Variation{"UpWithPartitionedFiltersLongAgo", WithPartitionedFilters, AsShipped,
                              AsShipped}),
    [](const auto& variation) { return std::string(variation.param.name); });

}  // namespace
}  // namespace baton
