// Reads many rows by key.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace rocksdb {
class DB;
class Snapshot;
}  // namespace rocksdb

namespace baton {

struct PointRead {
  std::optional<std::string> value;  // nullopt: no such row
  absl::Status status;               // why it could not be read
};

// One per key, in the order of the keys. Of the first ones only, until there are `bytes_max` bytes of values
// (at least two; 0: of all). `snapshot` may be null: what is there now. BLOCKS.
//
// Keys in ascending order that lie close together, as those of messages that expire together do, are met on
// one walk over the rows, which costs a third of looking for each; all others are looked for.
std::vector<PointRead> ReadByKey(rocksdb::DB* db, const rocksdb::Snapshot* snapshot,
                                 const std::vector<std::string>& keys, size_t bytes_max);

}  // namespace baton
