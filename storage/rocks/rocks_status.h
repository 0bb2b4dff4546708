// RocksDB's answers in our words.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/status.h"

namespace baton {

// Ok for ok; else "<what>: <what RocksDB said>": DATA_LOSS for corruption, RESOURCE_EXHAUSTED for a full
// disk.
absl::Status FromRocks(const rocksdb::Status& status, std::string_view what);

}  // namespace baton
