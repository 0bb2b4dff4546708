#include "storage/rocks/rocks_options.h"

#include <algorithm>

#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_tombstone_collector.h"

namespace baton {
namespace {

// Bloom filters for A and I rows only: those are asked for by key and usually not there. To RocksDB the whole
// key is a "prefix", and other rows have none, so they take no room in a filter.
//
// A filter must not be partitioned: the partitions over other rows would be empty, and MultiGet calls a row
// that falls into one missing (or aborts, where RocksDB asserts). Tables of that kind were written under the
// name without the 2; RocksDB does not ask the filters of a table whose extractor has another name than this.
class PointReadPrefix : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "baton.PointReadPrefix2"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return key; }
  bool InDomain(const rocksdb::Slice& key) const override {
    return !key.empty() && (key[0] == static_cast<char>(RowKind::kAttempts) ||
                            key[0] == static_cast<char>(RowKind::kLocator));
  }
};

bool Supports(rocksdb::CompressionType type) {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  return std::find(supported.begin(), supported.end(), type) != supported.end();
}

rocksdb::BlockBasedTableOptions TableOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 16u << 10;  // rows are read in runs; larger blocks keep the index small
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10));
  table.whole_key_filtering = false;  // PointReadPrefix decides
  // Index and filter live in the cache, so that they are inside the budget, and before data in its order of
  // keeping. The index is partitioned, so that what must be held of a huge backlog is small; a filter is
  // small as it is.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = false;
  table.metadata_block_size = 8u << 10;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_top_level_index_and_filter = true;
  return table;
}

}  // namespace

RocksMemoryPlan PlanRocksMemory(size_t budget_bytes, size_t wal_bytes_max) {
  RocksMemoryPlan plan;
  plan.total_bytes = std::max<size_t>(budget_bytes, 2u << 20);
  // Half of it for memtables: a message that is acked before its memtable is flushed leaves nothing on disk.
  // Not more of them than the log may hold: the log limit would flush them early.
  plan.memtables_max = 4;
  plan.memtable_bytes = std::clamp<size_t>(std::min(plan.total_bytes / 2, wal_bytes_max) / plan.memtables_max,
                                           64u << 10, 64u << 20);
  plan.table_bytes = std::clamp<size_t>(plan.total_bytes / 4, 1u << 20, 32u << 20);
  plan.compaction_bytes = 4 * plan.table_bytes;
  plan.open_files_max = 512;
  return plan;
}

rocksdb::Options MakeRocksOptions(const RocksOptionsInput& input) {
  const RocksMemoryPlan& plan = input.plan;
  rocksdb::Options options;
  options.env = input.env != nullptr ? input.env : rocksdb::Env::Default();
  options.create_if_missing = true;
  options.paranoid_checks = true;

  // Memory. The cache is not strict: a strict one fails reads when memtables overshoot for a moment. What it
  // cannot evict is memtables (bounded below) and the blocks of one iterator.
  const std::shared_ptr<rocksdb::Cache> cache =
      rocksdb::NewLRUCache({plan.total_bytes, /*num_shard_bits=*/2, /*strict_capacity_limit=*/false,
                            /*high_pri_pool_ratio=*/0.5});
  options.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(
      plan.memtable_bytes * static_cast<size_t>(plan.memtables_max), cache);
  options.write_buffer_size = plan.memtable_bytes;
  options.max_write_buffer_number = plan.memtables_max;
  options.min_write_buffer_number_to_merge =
      2;  // a Put and the SingleDelete of the next memtable still annihilate
  options.max_open_files = plan.open_files_max;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(cache)));
  options.prefix_extractor = std::make_shared<PointReadPrefix>();
  options.memtable_prefix_bloom_size_ratio = 0.02;  // the same rows, asked for in up to four memtables
  // No memtable_insert_with_hint_prefix_extractor, though it makes rows written in order cheaper: RocksDB
  // shares the hints with its table of range deletions, and a hint of the one corrupts the other.

  // The log. Its length is the time of reopening.
  options.max_total_wal_size = input.wal_bytes_max;
  options.wal_recovery_mode =
      rocksdb::WALRecoveryMode::kAbsoluteConsistency;  // rocks_recovery has cut what may be cut
  options.bytes_per_sync = 1u << 20;
  options.wal_bytes_per_sync = 1u << 20;

  // One writer thread: what serves several costs it.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  options.enable_pipelined_write = false;
  options.max_background_jobs = 2;

  // Shape on disk.
  options.compression =
      Supports(rocksdb::kLZ4Compression) ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  options.target_file_size_base = plan.table_bytes;
  options.max_bytes_for_level_base = 4 * plan.table_bytes;

  options.table_properties_collector_factories = {MakeRocksTombstoneCollectorFactory()};
  options.max_compaction_bytes = plan.compaction_bytes;
  // Without one a compaction that met a full disk is never taken up again.
  options.sst_file_manager.reset(rocksdb::NewSstFileManager(options.env));

  // Quiet when idle; its own log small.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 4u << 20;
  return options;
}

size_t CacheUsage(const rocksdb::Options& options) {
  const auto* table = options.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  return table == nullptr ? 0 : table->block_cache->GetUsage();
}

}  // namespace baton
