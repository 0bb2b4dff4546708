#include "base/runtime_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace baton {

static_assert(kSocketPathBytesMax == sizeof(sockaddr_un::sun_path) - 1);

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool IsAbsolute(const std::string& path) { return !path.empty() && path.front() == '/'; }

absl::Status Unusable(const std::string& path, std::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument,
      fmt::format("the directory {} cannot be trusted: {}; remove it, or name another one", path, what));
}

// mkdir -p with the mode 0700 for what it makes.
absl::Status MakeDirs(const std::string& path) {
  for (size_t end = 1; end != std::string::npos;) {
    end = path.find('/', end);
    const std::string part = path.substr(0, end);
    if (end != std::string::npos) ++end;
    if (part.empty() || ::mkdir(part.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return MakeError(absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument,
                     fmt::format("cannot make the directory {}: {}", part, std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace

UserEnvironment CurrentUserEnvironment() {
  return {.uid = ::geteuid(),
          .xdg_runtime_dir = Variable("XDG_RUNTIME_DIR"),
          .xdg_data_home = Variable("XDG_DATA_HOME"),
          .home = Variable("HOME")};
}

std::string DefaultRuntimeDir(const UserEnvironment& user) {
  if (IsAbsolute(user.xdg_runtime_dir)) return user.xdg_runtime_dir + "/baton";
  if (user.uid == 0) return "/run/baton";
  return fmt::format("/tmp/baton-{}", user.uid);
}

absl::StatusOr<std::string> DefaultDataDir(const UserEnvironment& user) {
  if (user.uid == 0) return "/var/lib/baton";
  if (IsAbsolute(user.xdg_data_home)) return user.xdg_data_home + "/baton";
  if (IsAbsolute(user.home)) return user.home + "/.local/share/baton";
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument,
                   "there is no default data directory, because HOME is not set; name one");
}

std::string GrpcSocketPath(const std::string& runtime_dir) { return runtime_dir + "/grpc.sock"; }
std::string LocalSocketPath(const std::string& runtime_dir) { return runtime_dir + "/baton.sock"; }

absl::Status CheckSocketPaths(const std::string& runtime_dir) {
  const size_t added = LocalSocketPath("").size();  // the longer of the two
  if (runtime_dir.size() + added <= kSocketPathBytesMax) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
      fmt::format("the path of the runtime directory {} has {} bytes, and at most {} are possible, because a "
                  "socket's has at most {}: choose a shorter one",
                  runtime_dir, runtime_dir.size(), kSocketPathBytesMax - added, kSocketPathBytesMax));
}

absl::Status CheckPrivateDir(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    const int error = errno;
    if (error == ENOENT) {
      return MakeError(absl::StatusCode::kNotFound, reason::kInvalidArgument,
                       fmt::format("the directory {} does not exist", path));
    }
    return Unusable(path, std::strerror(error));
  }
  if (!S_ISDIR(info.st_mode)) return Unusable(path, "it is not a directory");
  if (info.st_uid != ::geteuid()) {
    return Unusable(path,
                    fmt::format("it belongs to user {}, and this is user {}", info.st_uid, ::geteuid()));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Unusable(path, fmt::format("other users may write to it (its mode is {:04o}, expected 0700)",
                                      info.st_mode & 07777));
  }
  return absl::OkStatus();
}

absl::Status EnsurePrivateDir(const std::string& path) {
  if (absl::Status made = MakeDirs(path); !made.ok()) return made;
  return CheckPrivateDir(path);
}

}  // namespace baton
