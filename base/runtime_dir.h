// Where a broker and its clients meet when nobody says otherwise: the runtime directory holds the sockets,
// the data directory the messages. The broker, the client library and the command line all ask here, so they
// agree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {

// What the defaults depend on.
struct UserEnvironment {
  uint32_t uid = 0;  // effective
  std::string
      xdg_runtime_dir;  // "" = not set; one that is no absolute path counts as not set, as the standard says
  std::string xdg_data_home;
  std::string home;
};
UserEnvironment CurrentUserEnvironment();

// $XDG_RUNTIME_DIR/baton, else /run/baton for root, else /tmp/baton-<uid> (see CheckPrivateDir). Touches
// nothing.
std::string DefaultRuntimeDir(const UserEnvironment& user = CurrentUserEnvironment());

// /var/lib/baton for root, else $XDG_DATA_HOME/baton, else ~/.local/share/baton. Touches nothing.
// ERRORS: FAILED_PRECONDITION when the user has no home directory.
absl::StatusOr<std::string> DefaultDataDir(const UserEnvironment& user = CurrentUserEnvironment());

// What the path of a socket may have, without its terminating zero (sockaddr_un).
inline constexpr size_t kSocketPathBytesMax = 107;

// The sockets in a runtime directory.
std::string GrpcSocketPath(const std::string& runtime_dir);   // grpc.sock
std::string LocalSocketPath(const std::string& runtime_dir);  // baton.sock

// OK: the paths of its sockets are short enough for the system. Touches nothing. ERRORS: INVALID_ARGUMENT
// that says how long the directory's may be.
absl::Status CheckSocketPaths(const std::string& runtime_dir);

// OK: `path` is a directory (not a link to one) of this user, and nobody else may write to it: no other user
// can have put a socket there. Anything under /tmp is trusted only after this check. ERRORS: NOT_FOUND, or
// FAILED_PRECONDITION that says what is wrong and what to do.
absl::Status CheckPrivateDir(const std::string& path);

// Makes `path`, with its parents, for this user alone (0700) when it is not there; then checks as above.
absl::Status EnsurePrivateDir(const std::string& path);

}  // namespace baton
