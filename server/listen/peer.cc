#include "server/listen/peer.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace baton {
namespace {

Peer OnThisMachine(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) credentials.uid = UINT32_MAX;
  return {.text = fmt::format("unix:pid={},uid={}", credentials.pid, credentials.uid),
          .host = fmt::format("uid={}", credentials.uid),
          // 0: of another namespace, where it has no number here
          .process = credentials.pid > 0 ? fmt::format("pid={}", credentials.pid) : ""};
}

Peer OfIpv4(const in_addr& address, in_port_t port) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address, text, sizeof(text));
  return {.text = fmt::format("ipv4:{}:{}", text, ntohs(port)), .host = text, .process = {}};
}

Peer OfIpv6(const sockaddr_in6& from) {
  if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
    in_addr v4{};
    std::memcpy(&v4, &from.sin6_addr.s6_addr[12], sizeof(v4));
    return OfIpv4(v4, from.sin6_port);
  }
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text));
  in6_addr network = from.sin6_addr;  // a host has all addresses of its network
  std::memset(&network.s6_addr[8], 0, 8);
  char host[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, &network, host, sizeof(host));
  return {.text = fmt::format("ipv6:%5B{}%5D:{}", text, ntohs(from.sin6_port)), .host = host, .process = {}};
}

}  // namespace

Peer Peer::Of(int socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};  // it has gone
  if (address.ss_family == AF_INET) {
    const auto* from = reinterpret_cast<const sockaddr_in*>(&address);
    return OfIpv4(from->sin_addr, from->sin_port);
  }
  if (address.ss_family == AF_INET6) return OfIpv6(*reinterpret_cast<const sockaddr_in6*>(&address));
  return OnThisMachine(socket);
}

}  // namespace baton
