#include "server/listen/listening_socket.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "server/listen/unix_socket.h"

namespace baton {
namespace {

constexpr int kBacklog = 4'096;  // the system has a bound of its own: net.core.somaxconn

absl::Status CannotListen(const std::string& address, int error) {
  return MakeError(
      absl::StatusCode::kAlreadyExists, reason::kInvalidArgument,
      fmt::format(
          "cannot listen on {} ({}): the port is in use, or the host is not one of this machine; stop what "
          "uses it, or choose another --listen",
          address, std::strerror(error)));
}

uint16_t PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return 0;
  return ntohs(address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in*>(&address)->sin_port
                                            : reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
}

Descriptor Bind(const addrinfo& where, uint16_t port) {
  Descriptor socket(::socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, where.ai_protocol));
  if (!socket) return {};
  const int on = 1;
  const int off = 0;
  // Else a port is in use for a minute after its broker's end. A second broker is refused all the same.
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage address{};
  std::memcpy(&address, where.ai_addr, where.ai_addrlen);
  if (where.ai_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));  // [::] is both
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = htons(port);
  }
  const bool listens =
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), where.ai_addrlen) == 0 &&
      listen(socket.get(), kBacklog) == 0;
  return listens ? std::move(socket) : Descriptor();
}

}  // namespace

absl::StatusOr<Descriptor> ListenOnUnix(const std::string& path) {
  if (absl::Status cleared = ClearStaleSocket(path); !cleared.ok()) return cleared;
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const bool bound = socket &&
                     bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
                     chmod(path.c_str(), 0660) == 0 && listen(socket.get(), kBacklog) == 0;
  if (bound) return socket;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument,
      fmt::format("cannot listen on {} ({}); is the directory writable?", path, std::strerror(errno)));
}

absl::StatusOr<TcpListening> ListenOnTcp(const std::string& host, uint16_t port) {
  const std::string asked = fmt::format("{}:{}", host, port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return CannotListen(asked, EADDRNOTAVAIL);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  TcpListening listening{.sockets = {}, .port = port};
  int error = EADDRNOTAVAIL;
  for (const addrinfo* where = addresses.get(); where != nullptr; where = where->ai_next) {
    if (where->ai_family != AF_INET && where->ai_family != AF_INET6) continue;
    Descriptor socket = Bind(*where, listening.port);
    if (!socket) {
      error = errno;
      if (error == EADDRINUSE) return CannotListen(asked, error);
      continue;  // a machine without IPv6 has an "::1" for localhost all the same
    }
    listening.port = PortOf(socket.get());
    listening.sockets.push_back(std::move(socket));
  }
  if (listening.sockets.empty()) return CannotListen(asked, error);
  return listening;
}

}  // namespace baton
