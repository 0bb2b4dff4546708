// How many connections of one door are whose. A door has a bound, and so that nobody takes all of it, half of
// it is the most for a process or a remote address, three quarters for a user of this machine; one at least.
// THREADS: one.
#pragma once

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "server/listen/peer.h"

namespace baton {

class ConnectionShares {
 public:
  explicit ConnectionShares(size_t connections_max) : connections_max_(connections_max) {}

  enum class Excess { kNone, kOfProcess, kOfHost, kOfDoor };
  // Which bound one more connection of `peer` would exceed: the narrowest.
  Excess ExcessOf(const Peer& peer) const;
  void Add(const Peer& peer);
  void Remove(const Peer& peer);
  size_t connections() const { return connections_; }

 private:
  size_t OfProcessMax() const;
  size_t OfHostMax(const Peer& peer) const;
  size_t CountOf(const std::string& key) const;

  const size_t connections_max_;
  size_t connections_ = 0;
  absl::flat_hash_map<std::string, size_t> counts_;  // by host and by process: their texts differ
};

}  // namespace baton
