#include "server/listen/handed_over.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

namespace baton {
namespace {

// 0: there is no socket of this number. The system never gives a number twice.
uint64_t CookieOf(int socket) {
  uint64_t cookie = 0;
  socklen_t bytes = sizeof(cookie);
  return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) == 0 ? cookie : 0;
}

Descriptor OpenNothing() { return Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)); }

}  // namespace

HandedOver::HandedOver(std::function<void(const Connection&)> on_gone)
    : on_gone_(std::move(on_gone)), nothing_(OpenNothing()), hold_(OpenNothing()) {}

void HandedOver::Add(int socket, const Peer& peer, size_t door) {
  connections_.insert_or_assign(socket, Connection{.cookie = CookieOf(socket), .peer = peer, .door = door});
}

void HandedOver::NoteReused(int socket) {
  const auto found = connections_.find(socket);
  if (found == connections_.end()) return;
  on_gone_(found->second);
  connections_.erase(found);
}

void HandedOver::Sweep() {
  absl::erase_if(connections_, [this](const auto& entry) {
    const bool gone = CookieOf(entry.first) != entry.second.cookie;
    if (gone) on_gone_(entry.second);
    return gone;
  });
}

void HandedOver::ShutDown(std::string_view peer) {
  for (const auto& [socket, connection] : connections_) {
    if (connection.peer.text == peer) ShutDown(socket, connection.cookie);
  }
}

// Its server may close it, and the number become another's, at any moment: so it is held while it is looked
// at.
bool HandedOver::ShutDown(int socket, uint64_t cookie) {
  if (!nothing_ || !hold_ || dup3(socket, hold_.get(), O_CLOEXEC) < 0) return false;
  const bool same = CookieOf(hold_.get()) == cookie;
  if (same) shutdown(hold_.get(), SHUT_RDWR);
  dup3(nothing_.get(), hold_.get(), O_CLOEXEC);
  return same;
}

}  // namespace baton
