// Who is at the other end of a connection: as sessions are listed, and as shares are given.
#pragma once

#include <string>

namespace baton {

struct Peer {
  std::string text;  // "unix:pid=7,uid=1000", "ipv4:10.0.0.7:40112", "ipv6:%5B::1%5D:40112" (as gRPC has it)
  std::string host;  // the user of this machine; the address, of IPv6 the network of 64 bits
  std::string process;  // on this machine; "" = not known

  static Peer Of(int socket);
};

}  // namespace baton
