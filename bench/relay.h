// Three processes and two rings with nothing in between: source -> relay -> sink.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace baton::bench {

struct RelayOptions {
  uint64_t messages = 0;
  uint64_t rate = 0;  // messages a second
  uint64_t body_bytes = 0;
  // Where there is a file without a name that the relay appends what has come to, and syncs, before it passes
  // that on: "" = none. It is written with zeros beforehand, so this is the least that a confirmation of a
  // durable publish takes on this disk.
  std::string log_directory;
};

// Microseconds from the time each message should have been sent to its arrival at the sink. ERRORS: the log
// cannot be written; one of the processes has ended too early.
absl::StatusOr<std::vector<double>> RunRelay(const RelayOptions& options);

// One process writes records of so many bytes, another reads them. ERRORS: as of RunRelay.
absl::StatusOr<double> RawRingRate(uint64_t messages, uint64_t body_bytes);

}  // namespace baton::bench
