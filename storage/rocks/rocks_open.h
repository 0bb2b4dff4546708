// Opens or creates RocksDB's files in a data directory, after recovery has decided what of the log is kept.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "rocksdb/options.h"
#include "storage/rocks/data_directory.h"
#include "storage/rocks/rocks_recovery.h"

namespace rocksdb {
class DB;
}

namespace baton {

struct OpenedRocks {
  std::unique_ptr<rocksdb::DB> db;
  RecoveryReport report;
};

// BLOCKS. ERRORS: DATA_LOSS for damage, with the file and what to do.
absl::StatusOr<OpenedRocks> OpenRocks(const rocksdb::Options& options, const DataDirectory& directory);

}  // namespace baton
