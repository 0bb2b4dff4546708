#include "server/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace baton {
namespace {

absl::Status CannotTell(std::string_view path, std::string_view why) {
  return absl::UnavailableError(
      fmt::format("cannot tell the service manager at NOTIFY_SOCKET={}: {}", path, why));
}

}  // namespace

// One datagram; a name that starts with "@" is in the abstract namespace.
absl::Status NotifyServiceManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || std::strlen(path) == 0) return absl::OkStatus();
  const size_t length = std::strlen(path);
  sockaddr_un address{};
  if (length >= sizeof(address.sun_path)) return CannotTell(path, "the name is too long");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return CannotTell(path, std::strerror(errno));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent =
      sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  close(fd);
  return sent < 0 ? CannotTell(path, std::strerror(error)) : absl::OkStatus();
}

}  // namespace baton
