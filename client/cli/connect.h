// How every command reaches the broker.
#pragma once

#include "absl/status/statusor.h"
#include "baton/client.h"
#include "client/cli/global_options.h"

namespace baton::cli {

// Says on standard error when the connection of a session is lost, and when it is there again.
// ERRORS: INVALID_ARGUMENT for an address, or for TLS options that it has no use for; UNAVAILABLE, with what
// to do about it. BLOCKS.
absl::StatusOr<Client> Connect(const GlobalOptions& options);

// OK when `tls` is empty or the address is grpcs://. `url` "" = the local broker.
absl::Status CheckTlsOptions(const TlsOptions& tls, std::string_view url);

// What `status`, an error of connecting, means where the library cannot know which options there are.
absl::Status ExplainConnectError(const absl::Status& status, std::string_view url);

}  // namespace baton::cli
