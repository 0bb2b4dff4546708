// Where memory queues are to lie, looked at before there are any: a broker serves without it, so what is
// wrong with it would be met by whoever creates the first one.
#pragma once

#include <string>
#include <vector>

#include "server/config/config.h"

namespace baton {

// What an operator should know of it, one text each; empty: all is well. Leaves nothing behind. BLOCKS on the
// file system.
std::vector<std::string> MemoryQueueDirWarnings(const LoadedConfig& loaded);

}  // namespace baton
