// Who calls, as sessions are listed: clients of grpc.sock have no name of their own.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/server_context.h>

#include <string>

namespace baton {

inline std::string PeerOf(const grpc::ServerContextBase& context) {
  std::string peer = context.peer();
  return peer == "unix:" ? "unix:grpc.sock" : peer;
}

// Tells connections apart while they live, also those of grpc.sock: each has a security context of its own.
inline const void* ConnectionOf(grpc::ServerContextBase& context) {
  grpc_auth_context* const security = grpc_call_auth_context(context.c_call());
  if (security != nullptr) grpc_auth_context_release(security);  // a reference of ours
  return security;
}

}  // namespace baton
