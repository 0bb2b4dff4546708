// TlsFiles are the PEM files that `listen` shows, read and checked before anything is bound: gRPC would only
// say that it cannot listen.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace baton {

struct TlsPaths {
  std::string cert;  // "" = no TLS
  std::string key;
  std::string ca;  // "" = clients need no certificate
};

// Their contents.
struct TlsFiles {
  std::string cert;
  std::string key;
  std::string ca;
};

// ERRORS: INVALID_ARGUMENT that names the option and the file: it cannot be read, is no certificate or key,
// or the two do not belong together. BLOCKS. REQUIRES: paths.cert and paths.key are not empty.
absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsPaths& paths);

}  // namespace baton
