#include "server/listen/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/runtime_dir.h"

namespace baton {
namespace {

absl::Status Refused(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument, message);
}

absl::Status InUse(std::string_view message) {
  return MakeError(absl::StatusCode::kAlreadyExists, reason::kInvalidArgument, message);
}

std::string ReadHolder(int fd) {
  char text[32] = {};
  const ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
  std::string holder(text, length > 0 ? static_cast<size_t>(length) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return holder.empty() ? "?" : holder;
}

}  // namespace

absl::StatusOr<RuntimeDirLock> RuntimeDirLock::Acquire(const std::string& runtime_dir) {
  if (absl::Status status = EnsurePrivateDir(runtime_dir); !status.ok()) {
    return Refused(fmt::format("{} (option --runtime-dir)", std::string(status.message())));
  }
  const std::string path = runtime_dir + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Refused(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  RuntimeDirLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return InUse(
        fmt::format("the runtime directory {} is in use by the broker with process id {}: stop that one, or "
                    "give this one another --runtime-dir",
                    runtime_dir, ReadHolder(fd)));
  }
  const std::string holder = fmt::format("{}\n", getpid());
  // For people only: the lock is what counts.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, holder.data(), holder.size(), 0) < 0) {
    return Refused(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  return lock;
}

RuntimeDirLock::RuntimeDirLock(RuntimeDirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RuntimeDirLock::~RuntimeDirLock() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ClearStaleSocket(const std::string& path) {
  sockaddr_un address{};
  if (path.size() > kSocketPathBytesMax) {  // checked when the configuration was
    return Refused(fmt::format("the socket path {} has {} bytes; at most {} are possible", path, path.size(),
                               kSocketPathBytesMax));
  }
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus()
                           : Refused(fmt::format("cannot look at {}: {}", path, std::strerror(errno)));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Refused(
        fmt::format("{} is in the way and is no socket: remove it, or choose another --runtime-dir", path));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Refused(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(fd);
  if (connected == 0 || error == EAGAIN) {  // EAGAIN: it listens, its backlog is full
    return InUse(
        fmt::format("{} is in use: a program answers there; stop it, or choose another --runtime-dir", path));
  }
  if (unlink(path.c_str()) != 0) {
    return Refused(fmt::format("cannot remove the stale socket {}: {}", path, std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace baton
