// Makes the gRPC channel for an address.
#pragma once

#include <grpcpp/channel.h>

#include <memory>

#include "absl/status/statusor.h"
#include "baton/client.h"
#include "client/address.h"

namespace baton::client {

// Does not connect yet. ERRORS: INVALID_ARGUMENT for a certificate file that cannot be read; UNIMPLEMENTED
// for an address whose carrier is not gRPC.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const Address& address,
                                                           const ClientOptions& options);

}  // namespace baton::client
