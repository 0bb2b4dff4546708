#include "storage/rocks/ballast.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "storage/posix_file.h"

namespace baton {
namespace {

constexpr uint64_t kStatBlockBytes = 512;  // of st_blocks, whatever the file system

bool HasSpaceOf(const std::string& path, uint64_t bytes) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && static_cast<uint64_t>(info.st_size) == bytes &&
         static_cast<uint64_t>(info.st_blocks) * kStatBlockBytes >= bytes;
}

}  // namespace

Ballast::Ballast(std::string path, uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {
  const MutexLock lock(mutex_);
  held_ = bytes_ == 0 || HasSpaceOf(path_, bytes_);
  if (!held_ || bytes_ == 0) unlink(path_.c_str());  // none, of another size, or a hole: made anew
}

bool Ballast::held() const {
  const MutexLock lock(mutex_);
  return held_;
}

absl::Status Ballast::Take() {
  const MutexLock lock(mutex_);
  if (held_) return absl::OkStatus();
  const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return PosixError(fmt::format("cannot create {}", path_), errno);
  const int error =
      posix_fallocate(fd, 0, static_cast<off_t>(bytes_));  // answers the error, errno is not set
  close(fd);
  if (error != 0) {
    unlink(path_.c_str());
    return PosixError(fmt::format("cannot reserve {} bytes in {}", bytes_, path_), error);
  }
  held_ = true;
  return absl::OkStatus();
}

bool Ballast::Release() {
  const MutexLock lock(mutex_);
  if (!held_ || bytes_ == 0) return false;
  held_ = false;
  unlink(path_.c_str());
  return true;
}

}  // namespace baton
