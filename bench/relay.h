// Three processes and two rings with nothing in between: source -> relay -> sink.
#pragma once

#include <cstdint>
#include <vector>

namespace baton::bench {

// Microseconds from the time each message should have been sent to its arrival at the sink.
std::vector<double> RunRelay(uint64_t messages, uint64_t rate, uint64_t body_bytes);

// One process writes records of so many bytes, another reads them.
double RawRingRate(uint64_t messages, uint64_t body_bytes);

}  // namespace baton::bench
