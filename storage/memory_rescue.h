// Of a region of shared memory that is damaged somewhere: which queues are whole all the same. One is when
// its ledger agrees with a recount of its rows, as for any region that is taken over.
#pragma once

#include <set>

#include "base/ids.h"
#include "storage/memory/memory_store.h"

namespace baton {

// Copies to `into` the rows of those of `queues` that are whole, and what is known of producers. Which are
// not, or have no room. What a damaged part has held of producers is lost: what they publish again may be
// there twice.
std::set<QueueId> RescueQueues(const MemoryStore& damaged, const std::set<QueueId>& queues,
                               MemoryStore& into);

}  // namespace baton
