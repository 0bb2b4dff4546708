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
    uint64_t received = 0;   // over TCP, in all, when it was looked at
    intptr_t served_as = 0;  // what its server calls it; 0: nothing
  };
  // `on_gone` is called for each connection that is found to have ended.
  explicit HandedOver(std::function<void(const Connection&)> on_gone);

  // Before it is handed over.
  void Add(int socket, const Peer& peer, size_t door);
  void SetServedAs(int socket, intptr_t name);
  // A new connection has this number: the one before has ended.
  void NoteReused(int socket);
  void Sweep();
  // Ends the connections of the peer with this text, whoever serves them.
  void ShutDown(std::string_view peer);
  // Asks about each connection over TCP that has received at least `bytes_min` since it was looked at last,
  // and each other one that its server can tell of and has not read all of; ends those about which the answer
  // is true.
  using IsBad = std::function<bool(const Connection& connection)>;
  void Watch(uint64_t bytes_min, const IsBad& is_bad);
  size_t watched() const { return watched_; }

 private:
  void ShutDown(int socket, uint64_t cookie);
  void NoteGone(const Connection& connection);

  const std::function<void(const Connection&)> on_gone_;
  absl::flat_hash_map<int, Connection> connections_;  // by descriptor
  size_t watched_ = 0;                                // of these
  const Descriptor nothing_;  // something harmless that is open, and a second number for the same
  const Descriptor hold_;
};

}  // namespace baton
