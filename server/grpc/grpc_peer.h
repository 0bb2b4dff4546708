// Who calls, as sessions are listed: clients of grpc.sock have no name of their own.
#pragma once

#include <grpcpp/server_context.h>

#include <string>

namespace baton {

inline std::string PeerOf(const grpc::ServerContextBase& context) {
  std::string peer = context.peer();
  return peer == "unix:" ? "unix:grpc.sock" : peer;
}

}  // namespace baton
