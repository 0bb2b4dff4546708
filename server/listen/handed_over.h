// Connections that somebody else serves and closes, without telling us: which of them are still there is
// found out by looking. A descriptor's number says nothing, it may be another connection's by now; the
// system's number of the socket does. THREADS: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "local/descriptor.h"
#include "server/listen/peer.h"

namespace baton {

class HandedOver {
 public:
  struct Connection {
    uint64_t cookie = 0;
    Peer peer;
    size_t door = 0;
    bool tcp = false;
    uint64_t received = 0;  // when it was looked at
  };
  // `on_gone` is called for each connection that is found to have ended.
  explicit HandedOver(std::function<void(const Connection&)> on_gone);

  // Before it is handed over.
  void Add(int socket, const Peer& peer, size_t door);
  // A new connection has this number: the one before has ended.
  void NoteReused(int socket);
  void Sweep();
  // Ends the connections of the peer with this text, whoever serves them.
  void ShutDown(std::string_view peer);
  // Asks about each connection over TCP that has received at least `bytes_min` since it was looked at last,
  // and ends those about which the answer is true.
  using IsBad = std::function<bool(const Peer& peer, uint64_t received)>;
  void Watch(uint64_t bytes_min, const IsBad& is_bad);
  size_t over_tcp() const { return over_tcp_; }

 private:
  void ShutDown(int socket, uint64_t cookie);
  void NoteGone(const Connection& connection);

  const std::function<void(const Connection&)> on_gone_;
  absl::flat_hash_map<int, Connection> connections_;  // by descriptor
  size_t over_tcp_ = 0;
  const Descriptor nothing_;  // something harmless that is open, and a second number for the same
  const Descriptor hold_;
};

}  // namespace baton
