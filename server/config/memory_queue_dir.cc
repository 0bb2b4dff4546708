#include "server/config/memory_queue_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/byte_size.h"
#include "local/descriptor.h"

namespace baton {
namespace {

// Why no file can be made there; 0: one can. Of a file without a name nothing is left even when we are
// killed. Not every file system, kernel and sandbox has them, and each says so with an error of its own
// (EOPNOTSUPP, EISDIR, EINVAL, ENOSYS): only of a file with a name, as a region has, a no is one.
int MakeFile(const std::string& dir) {
  if (Descriptor(open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600))) return 0;
  const std::string path = fmt::format("{}/.baton-check-{}", dir, getpid());
  const Descriptor named(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!named) return errno;
  unlink(path.c_str());
  return 0;
}

// What is wrong with the kind of its file system; "": nothing.
std::string WrongKind(const std::string& dir, const struct statfs& system) {
  const auto type = static_cast<uint32_t>(system.f_type);
  if (type == TMPFS_MAGIC || type == RAMFS_MAGIC) return "";
  if (type == HUGETLBFS_MAGIC) {  // gives whole huge pages only, and a region is not made of those
    return fmt::format(
        "memory queues cannot be kept in {} (memory_queue_dir), a file system of huge pages (hugetlbfs): "
        "creating one will be refused; name a directory of a tmpfs, as /dev/shm",
        dir);
  }
  return fmt::format(
      "{} (memory_queue_dir) is not on a file system in memory (tmpfs): memory queues would be as "
      "slow as its disk, and their files would stay there, unusable, when the machine restarts; "
      "name a directory that is, as /dev/shm",
      dir);
}

}  // namespace

std::vector<std::string> MemoryQueueDirWarnings(const LoadedConfig& loaded) {
  const std::string& dir = loaded.config.memory_queue_dir;
  if (const int error = MakeFile(dir); error != 0) {
    return {
        fmt::format("memory queues cannot be kept in {} (memory_queue_dir), for no file can be made there "
                    "({}): creating one will be refused; name a directory of a file system in memory that "
                    "the broker's user may write, as /dev/shm",
                    dir, std::strerror(error))};
  }
  struct statfs system {};
  struct statvfs size {};
  if (statfs(dir.c_str(), &system) != 0 || statvfs(dir.c_str(), &size) != 0) return {};  // it was just there
  std::vector<std::string> warnings;
  if (std::string wrong = WrongKind(dir, system); !wrong.empty()) warnings.push_back(std::move(wrong));
  // The default is as much as there is, up to so many bytes: many containers have a /dev/shm of 64 MiB.
  const bool is_wished = loaded.origins.at("memory_queue_bytes") != "default";
  const uint64_t wished = is_wished ? loaded.config.memory_queue_bytes : 0;
  const uint64_t bytes = uint64_t{size.f_blocks} * size.f_frsize;
  if (bytes > 0 && bytes < wished) {  // 0: one without a limit
    warnings.push_back(fmt::format(
        "memory_queue_bytes is {}, and the file system of {} (memory_queue_dir) has only {}: memory "
        "queues are full when that is; make it larger, or lower memory_queue_bytes",
        FormatByteSize(wished), dir, FormatByteSizeRounded(bytes)));
  }
  return warnings;
}

}  // namespace baton
