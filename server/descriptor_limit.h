// How many descriptors this process may have, and what they are for.
#pragma once

#include <cstddef>

namespace baton {

// Raises the limit as far as the system lets this process. Once, at its start.
void RaiseDescriptorLimit();
size_t DescriptorLimit();

// What the store keeps for itself (storage/rocks/descriptor_reserve.h).
size_t DescriptorsForStore(size_t limit);
// A client whose socket has this number, or a larger one, is refused: the system gives the lowest that is
// free, so nearly all are taken.
size_t DescriptorsForClients(size_t limit);
// The same for clients over rings: a quarter of what clients may take is kept for the others.
size_t DescriptorsForRings(size_t limit);
// Sessions over rings, of so many in all: each takes two.
size_t SessionsOverRings(size_t sessions_max, size_t limit);
// Connections that one of `doors` gRPC addresses may have: together half of it.
size_t ConnectionsPerDoor(size_t limit, size_t doors);

}  // namespace baton
