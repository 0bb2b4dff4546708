// What a process takes up, as the system tells it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace baton {

// Memory of this process. Under AddressSanitizer what is allocated: freed memory stays resident for long
// there, to catch who still uses it.
size_t OccupiedBytes();

size_t ResidentBytesOf(pid_t process);
// Descriptors, but for files: those come and go with the store.
size_t DescriptorsOf(pid_t process);
// Of all its threads, since its start.
std::chrono::milliseconds CpuTimeOf(pid_t process);

}  // namespace baton
