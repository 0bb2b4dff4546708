// RocksAlternation asserts that R, D, P, X and U rows strictly alternate Put and SingleDelete, and that no
// other row sees a SingleDelete. RocksDB does not check it: a second Put brings its first value back after a
// SingleDelete, silently; a Delete in between is corruption at the next flush.
//
// The store itself is the shadow: whether a row is there is read from RocksDB, with the operations of the
// write being put together laid over it. So it is right after a reopening, and it costs a point read per
// operation: for debug builds and tests. THREADS: the writer's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "storage/format/commit.h"

namespace rocksdb {
class DB;
}

namespace baton {

class RocksAlternation {
 public:
  explicit RocksAlternation(rocksdb::DB* db) : db_(db) {}

  // Aborts the process with key and reason when `op`, next in the write being put together, breaks the rule.
  void Check(const Commit::Op& op);
  // The write is in RocksDB: the next one begins.
  void Written();

 private:
  std::optional<bool> IsThere(std::string_view key);

  rocksdb::DB* const db_;
  // Of the write being put together; what is in neither of them is as RocksDB has it.
  absl::flat_hash_map<std::string, bool> there_;
  std::vector<std::pair<std::string, std::string>> deleted_ranges_;
};

}  // namespace baton
