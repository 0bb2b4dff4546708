// Statuses as the protocol's Error.
#pragma once

#include "absl/status/status.h"
#include "baton/v1/session.pb.h"

namespace baton {

// REQUIRES: !status.ok().
void FillWireError(const absl::Status& status, v1::Error* error);

}  // namespace baton
