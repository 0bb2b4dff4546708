#include "storage/posix_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace baton {
namespace {

std::string_view Remedy(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return "; check owner and permissions";
    case EROFS:
      return "; the file system is read-only: remount it writable or use another directory";
    case ENOSPC:
    case EDQUOT:
      return "; free some disk space";
    case ENOTDIR:
      return "; a part of the path is not a directory";
    default:
      return "";
  }
}

absl::StatusCode Code(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return absl::StatusCode::kPermissionDenied;
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case ENOSPC:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    case EROFS:
    case ENOTDIR:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

absl::Status PosixError(std::string_view what, int error) {
  return {Code(error), fmt::format("{}: {}{}", what, std::generic_category().message(error), Remedy(error))};
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return PosixError(fmt::format("cannot open {}", path), errno);
  std::string bytes;
  char buffer[4096];
  while (true) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return PosixError(fmt::format("cannot read {}", path), errno);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
  }
}

absl::Status WriteFileSynced(const std::string& path, std::string_view bytes) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) return PosixError(fmt::format("cannot create {}", path), errno);
  while (!bytes.empty()) {
    const ssize_t count = write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return PosixError(fmt::format("cannot write {}", path), errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  if (fsync(file.get()) != 0) return PosixError(fmt::format("cannot sync {}", path), errno);
  return absl::OkStatus();
}

uint64_t DiskUsageOf(const std::string& path) {
  constexpr uint64_t kStatBlockBytes = 512;  // of st_blocks, whatever the file system
  const auto usage = [](const std::string& file) -> uint64_t {
    struct stat info;
    return lstat(file.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * kStatBlockBytes : 0;
  };
  uint64_t bytes = usage(path);
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(
      path, std::filesystem::directory_options::skip_permission_denied, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    bytes += usage(at->path());
  }
  return bytes;
}

absl::Status SyncDirectory(const std::string& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return PosixError(fmt::format("cannot open {}", path), errno);
  if (fsync(directory.get()) != 0) return PosixError(fmt::format("cannot sync {}", path), errno);
  return absl::OkStatus();
}

}  // namespace baton
