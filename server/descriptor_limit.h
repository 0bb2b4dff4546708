// How many descriptors this process may have, and how many of them clients may take: the store opens files
// whenever it likes, and a store that cannot has failed.
#pragma once

#include <cstddef>

namespace baton {

// Raises the limit as far as the system lets this process. Once, at its start.
void RaiseDescriptorLimit();
size_t DescriptorLimit();

// A descriptor from this number on is the store's (the system gives the lowest number that is free).
size_t DescriptorsForClients(size_t limit);

}  // namespace baton
