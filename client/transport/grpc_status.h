// gRPC's status as ours, with the stable reason word that rides in the trailer.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace baton::client {

absl::Status FromGrpc(const grpc::Status& status);

}  // namespace baton::client
