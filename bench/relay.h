// Three processes and two rings with nothing in between: source -> relay -> sink.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace baton::bench {

struct RelayOptions {
  uint64_t messages = 0;
  uint64_t rate = 0;  // messages a second
  uint64_t body_bytes = 0;
  // A file the relay appends what has come to, and syncs, before it passes that on: "" = none. It is written
  // with zeros beforehand, so this is the least that a confirmation of a durable publish takes on this disk.
  std::string log;
};

// Microseconds from the time each message should have been sent to its arrival at the sink.
std::vector<double> RunRelay(const RelayOptions& options);

// One process writes records of so many bytes, another reads them.
double RawRingRate(uint64_t messages, uint64_t body_bytes);

}  // namespace baton::bench
