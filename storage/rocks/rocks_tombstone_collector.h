// Marks table files in which deletions stand densely for compaction, so that reads do not wade through them
// and their space comes back. RocksDB's own collector counts Delete only; our rows end by SingleDelete.
//
// A file is marked when half of any kTombstoneWindow entries in a row are deletions, or when it holds a range
// deletion (a purge): those sink level by level until what they delete is gone.
#pragma once

#include <cstddef>
#include <memory>

#include "rocksdb/table_properties.h"

namespace baton {

inline constexpr size_t kTombstoneWindow = 4096;

std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> MakeRocksTombstoneCollectorFactory();

}  // namespace baton
