// What a broker without consumers holds, by its own listing, and taking all of it: for the end of a test that
// keeps a PromiseBook.
#pragma once

#include <string>
#include <vector>

#include "baton/client.h"
#include "tests/support/promise_book.h"

namespace baton {

QueueCounts CountsOf(Client& client, const std::string& queue);

// Ready, delayed and parked. BLOCKS.
std::vector<PromiseBook::Listed> ListStored(Client& client, const std::vector<std::string>& queues);

// Takes and acks `count` messages of `queue`, which is all there are, and expects them in their order.
// BLOCKS.
void Drain(Client& client, const std::string& queue, uint64_t count, PromiseBook& book);

}  // namespace baton
