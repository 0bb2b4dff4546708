// Makes the gRPC channel for an address.
#pragma once

#include <grpcpp/channel.h>

#include <memory>

#include "absl/status/statusor.h"
#include "baton/client.h"
#include "client/transport/address.h"

namespace baton::client {

// Does not connect yet. For a local address: to the gRPC socket beside it. ERRORS: INVALID_ARGUMENT for a
// certificate file that cannot be read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const Address& address,
                                                           const ClientOptions& options);

}  // namespace baton::client
