// A message's headers in the form of the wire, checked.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "baton/message.h"
#include "baton/v1/session.pb.h"

namespace baton::client {

// ERRORS: INVALID_ARGUMENT: too many headers, a name of a wrong length, one of the broker's own.
absl::StatusOr<std::string> EncodeHeaders(const Headers& headers);
absl::Status FillHeaders(const Headers& headers, v1::Headers& out);

Headers FromProto(const v1::Headers& headers);
// What cannot be decoded is no headers.
Headers DecodeHeaders(std::string_view encoded);

}  // namespace baton::client
