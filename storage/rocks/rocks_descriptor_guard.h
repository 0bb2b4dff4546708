// RocksDescriptorGuard stands between RocksDB and the file system: a file that cannot be opened because the
// process has no descriptor left is opened again with one of the reserve's. Others may be quicker to take
// what is given up, so it tries until the reserve is used up.
#pragma once

#include <memory>

#include "rocksdb/file_system.h"
#include "storage/rocks/descriptor_reserve.h"

namespace baton {

// Borrows the reserve.
std::shared_ptr<rocksdb::FileSystem> MakeRocksDescriptorGuard(std::shared_ptr<rocksdb::FileSystem> target,
                                                              DescriptorReserve* reserve);

}  // namespace baton
