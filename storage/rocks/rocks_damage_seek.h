// Finds the way past rows that cannot be read, because their block of a table is damaged.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "rocksdb/iterator.h"

namespace baton {

// The rows behind `from` cannot be read. Gives an iterator at the first row that can, or behind the last one
// before `end`; null: nothing before `end` can be read. Where several blocks in a row are damaged, readable
// rows between them may be left out. `make`: another iterator; one that has failed does not recover.
// BLOCKS: a few hundred seeks at most.
std::unique_ptr<rocksdb::Iterator> SeekBehindDamage(
    const std::function<std::unique_ptr<rocksdb::Iterator>()>& make, const std::string& from,
    const std::string& end);

}  // namespace baton
