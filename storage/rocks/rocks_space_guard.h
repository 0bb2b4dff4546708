// RocksSpaceGuard stands between RocksDB and the file system and gives up the ballast when the disk is full,
// at the moment the space is needed: whenever RocksDB reserves space for a file (a log when it is begun, a
// table while it grows) and there is none, the ballast goes and the space is reserved again. So neither a
// commit nor a flush meets a full disk while there is ballast, however fast the disk filled up.
//
// Reserving beforehand, because a write that failed half-way cannot be repeated.
#pragma once

#include <memory>

#include "rocksdb/file_system.h"
#include "storage/rocks/ballast.h"

namespace baton {

// Borrows the ballast.
std::shared_ptr<rocksdb::FileSystem> MakeRocksSpaceGuard(std::shared_ptr<rocksdb::FileSystem> target,
                                                         Ballast* ballast);

}  // namespace baton
