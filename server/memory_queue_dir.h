// Where memory queues are to lie, looked at before there are any: a broker serves without it, so what is
// wrong with it would be met by whoever creates the first one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace baton {

// What an operator should know of it, one text each; empty: all is well. `wished`: how much memory queues
// should find room for. Leaves nothing behind. BLOCKS on the file system.
std::vector<std::string> MemoryQueueDirWarnings(const std::string& dir, uint64_t wished);

}  // namespace baton
