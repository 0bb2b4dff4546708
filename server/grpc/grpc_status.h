// Our statuses as gRPC's, with google.rpc.ErrorInfo in the trailer grpc-status-details-bin.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace baton {

grpc::Status ToGrpcStatus(const absl::Status& status);

// What calls and sessions are told once the broker stops.
absl::Status BrokerStopping();

}  // namespace baton
