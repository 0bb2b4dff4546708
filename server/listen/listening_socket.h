// Sockets that listen: bound, with a queue, non-blocking; nobody is accepted yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "local/descriptor.h"

namespace baton {

// Clears a dead broker's socket away (unix_socket.h); the file gets mode 0660.
// ERRORS: ALREADY_EXISTS when somebody answers there, FAILED_PRECONDITION when it cannot be had.
absl::StatusOr<Descriptor> ListenOnUnix(const std::string& path);

struct TcpListening {
  std::vector<Descriptor> sockets;  // one for each address of the host
  uint16_t port = 0;
};
// `port` 0: any free one, the same for all addresses. BLOCKS: looks a host's name up.
// ERRORS: ALREADY_EXISTS when the port is in use or no such host is this machine.
absl::StatusOr<TcpListening> ListenOnTcp(const std::string& host, uint16_t port);

}  // namespace baton
