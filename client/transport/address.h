// Where the broker is: the address decides the carrier.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace baton::client {

struct Address {
  enum class Carrier {
    kGrpcUnix,  // grpc+unix:PATH
    kGrpc,      // grpc://HOST:PORT
    kGrpcTls,   // grpcs://HOST:PORT
    kLocal,     // unix:PATH: rings in shared memory
  };

  Carrier carrier = Carrier::kGrpcUnix;
  std::string url;     // as given
  std::string target;  // the path, or HOST:PORT
};

// Of a local address: sessions use the rings; unary calls the broker's other socket, beside it.
std::string GrpcSocketBeside(const Address& local);

// ERRORS: INVALID_ARGUMENT that names the forms an address has.
absl::StatusOr<Address> ParseAddress(std::string_view url);

// `url` when it is not empty, else BATON_URL, else the socket of this user's broker.
// ERRORS: as ParseAddress; FAILED_PRECONDITION when the socket's directory under /tmp may be another user's
// trap.
absl::StatusOr<Address> ResolveAddress(std::string_view url);

}  // namespace baton::client
