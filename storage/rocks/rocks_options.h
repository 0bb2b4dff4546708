// How RocksDB is set up: every option and its reason in one place.
#pragma once

#include <cstddef>
#include <memory>

#include "rocksdb/options.h"

namespace rocksdb {
class Cache;
class FileSystem;
}  // namespace rocksdb

namespace baton {

// Where the bytes of RocksDB's memory budget go.
struct RocksMemoryPlan {
  size_t total_bytes = 0;       // memtables + block cache, one account: memtables are charged to the cache
  size_t memtable_bytes = 0;    // one of them
  int memtables_max = 0;        // full ones waiting for their flush, and the one being written
  size_t table_bytes = 0;       // one table file
  size_t compaction_bytes = 0;  // what one compaction reads, and so writes, at most (level 0 excepted)
  int open_files_max = 0;
};
RocksMemoryPlan PlanRocksMemory(size_t budget_bytes, size_t wal_bytes_max);

struct RocksOptionsInput {
  RocksMemoryPlan plan;
  size_t wal_bytes_max = 0;
  rocksdb::Env* env = nullptr;
};
rocksdb::Options MakeRocksOptions(const RocksOptionsInput& input);

// The memory RocksDB holds for these options' cache (memtables included).
size_t CacheUsage(const rocksdb::Options& options);

}  // namespace baton
