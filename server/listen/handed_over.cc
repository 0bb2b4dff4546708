#include "server/listen/handed_over.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

namespace baton {
namespace {

constexpr size_t kThrownAwayAtOnce = 1u << 20;

// 0: there is no socket of this number. The system never gives a number twice.
uint64_t CookieOf(int socket) {
  uint64_t cookie = 0;
  socklen_t bytes = sizeof(cookie);
  return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) == 0 ? cookie : 0;
}

uint64_t ReceivedBy(int socket) {
  tcp_info info{};
  socklen_t bytes = sizeof(info);
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 ? info.tcpi_bytes_received : 0;
}

bool HasUnread(int socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0;
}

Descriptor OpenNothing() { return Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)); }

}  // namespace

HandedOver::HandedOver(std::function<void(const Connection&)> on_gone)
    : on_gone_(std::move(on_gone)), nothing_(OpenNothing()), hold_(OpenNothing()) {}

void HandedOver::Add(int socket, const Peer& peer, size_t door) {
  const bool tcp = !peer.text.starts_with("unix:");
  if (tcp) ++watched_;
  connections_.insert_or_assign(
      socket, Connection{.cookie = CookieOf(socket), .peer = peer, .door = door, .tcp = tcp});
}

void HandedOver::SetServedAs(int socket, intptr_t name) {
  Connection& connection = connections_.at(socket);
  if (!connection.tcp && connection.served_as == 0 && name != 0) ++watched_;
  connection.served_as = name;
}

void HandedOver::NoteGone(const Connection& connection) {
  if (connection.tcp || connection.served_as != 0) --watched_;
  on_gone_(connection);
}

void HandedOver::NoteReused(int socket) {
  const auto found = connections_.find(socket);
  if (found == connections_.end()) return;
  NoteGone(found->second);
  connections_.erase(found);
}

void HandedOver::Sweep() {
  absl::erase_if(connections_, [this](const auto& entry) {
    const bool gone = CookieOf(entry.first) != entry.second.cookie;
    if (gone) NoteGone(entry.second);
    return gone;
  });
}

void HandedOver::ShutDown(std::string_view peer) {
  for (const auto& [socket, connection] : connections_) {
    if (connection.peer.text == peer) ShutDown(socket, connection.cookie);
  }
}

void HandedOver::Watch(uint64_t bytes_min, const IsBad& is_bad) {
  Sweep();
  for (auto& [socket, connection] : connections_) {
    if (connection.tcp) {
      const uint64_t received = ReceivedBy(socket);
      if (received - connection.received < bytes_min) continue;
      connection.received = received;
    } else if (connection.served_as == 0 || !HasUnread(socket)) {
      continue;
    }
    if (is_bad(connection)) ShutDown(socket, connection.cookie);
  }
}

// Its server may close it, and the number become another's, at any moment: so it is held while it is looked
// at. What the system holds for it is thrown away, for the server would still read it.
void HandedOver::ShutDown(int socket, uint64_t cookie) {
  if (!nothing_ || !hold_ || dup3(socket, hold_.get(), O_CLOEXEC) < 0) return;
  if (CookieOf(hold_.get()) == cookie) {
    shutdown(hold_.get(), SHUT_RDWR);
    while (recv(hold_.get(), nullptr, kThrownAwayAtOnce, MSG_TRUNC | MSG_DONTWAIT) > 0) {
    }
  }
  dup3(nothing_.get(), hold_.get(), O_CLOEXEC);
}

}  // namespace baton
