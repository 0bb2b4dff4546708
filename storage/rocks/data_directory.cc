#include "storage/rocks/data_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "storage/posix_file.h"

namespace baton {
namespace {

constexpr std::string_view kMagic = "baton data-directory";
constexpr std::string_view kIdentityName = "identity";
constexpr std::string_view kIdentityTemporaryName = "identity.new";
constexpr std::string_view kLockName = "lock";

absl::Status Error(absl::StatusCode code, const std::string& message) { return {code, message}; }

std::string MakeUuid() {
  std::array<uint8_t, 16> bytes;
  BATON_CHECK_EQ(getrandom(bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4: random
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string uuid;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid.push_back('-');
    uuid += fmt::format("{:02x}", bytes[i]);
  }
  return uuid;
}

uint64_t MakeSecret() {
  uint64_t secret = 0;
  BATON_CHECK_EQ(getrandom(&secret, sizeof(secret), 0), static_cast<ssize_t>(sizeof(secret)));
  return secret;
}

// Creates `path` and what is missing above it.
absl::Status MakeDirectories(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0700) == 0) {
      const size_t parent_end = part.rfind('/');
      const std::string parent = parent_end == std::string::npos ? "." : part.substr(0, parent_end + 1);
      if (absl::Status status = SyncDirectory(parent); !status.ok()) return status;
    } else if (errno != EEXIST && (slash == std::string::npos || (errno != EROFS && errno != EACCES))) {
      // A parent that is there already may answer EROFS or EACCES instead of EEXIST: only the last word
      // counts.
      return PosixError(fmt::format("cannot create the data directory {} (option --data-dir)", path), errno);
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

// What stands in the folder, without what may stand in an empty one.
absl::StatusOr<bool> HasForeignFiles(const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr)
    return PosixError(fmt::format("cannot read the data directory {} (option --data-dir)", path), errno);
  bool foreign = false;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    const bool ours =
        name == kLockName || name == kIdentityTemporaryName;  // a first start that was interrupted
    if (name != "." && name != ".." && name != "lost+found" && !ours) foreign = true;
  }
  closedir(dir);
  return foreign;
}

absl::Status CheckIsOurs(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0)
    return PosixError(fmt::format("cannot use the data directory {} (option --data-dir)", path), errno);
  if (!S_ISDIR(info.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 fmt::format("{} is not a directory; give the path of a directory with --data-dir", path));
  }
  if (access(fmt::format("{}/{}", path, kIdentityName).c_str(), F_OK) == 0) return absl::OkStatus();
  const absl::StatusOr<bool> foreign = HasForeignFiles(path);
  if (!foreign.ok()) return foreign.status();
  if (!*foreign) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               fmt::format("{} is not a data directory of Baton: it holds files and no file \"{}\"; "
                           "give an empty or a new directory with --data-dir",
                           path, kIdentityName));
}

absl::StatusOr<int> Lock(const std::string& path) {
  const std::string lock_path = fmt::format("{}/{}", path, kLockName);
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return PosixError(fmt::format("cannot use the data directory {} (option --data-dir)", path), errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    char holder[32] = {};
    const ssize_t length = pread(fd, holder, sizeof(holder) - 1, 0);
    close(fd);
    if (error != EWOULDBLOCK) return PosixError(fmt::format("cannot lock {}", lock_path), error);
    std::string pid(holder, length > 0 ? static_cast<size_t>(length) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return Error(
        absl::StatusCode::kAlreadyExists,
        fmt::format("the data directory {} is in use by process {}; stop that broker first, or give another "
                    "directory with --data-dir",
                    path, pid.empty() ? "?" : pid));
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int error = errno;
    // Only people read the number: a full disk must not keep the broker from serving what it holds.
    if (error != ENOSPC && error != EDQUOT) {
      close(fd);
      return PosixError(fmt::format("cannot write {}", lock_path), error);
    }
  }
  return fd;
}

template <class Number>
bool ParseNumber(std::string_view text, Number& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string FormatIdentity(const DataIdentity& identity) {
  return fmt::format("{}\nformat {}\nuuid {}\nsecret {:016x}\nstore {}\n", kMagic, identity.format,
                     identity.uuid, identity.secret, identity.store_created ? "created" : "new");
}

absl::StatusOr<DataIdentity> ParseIdentity(std::string_view text) {
  DataIdentity identity{.format = 0, .uuid = {}, .secret = 0, .store_created = false};
  bool magic = false;
  bool secret = false;
  bool store = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t space = line.find(' ');
    const std::string_view name = line.substr(0, space);
    const std::string_view value =
        space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    if (line == kMagic) magic = true;
    if (name == "format" && !ParseNumber(value, identity.format, 10)) identity.format = 0;
    if (name == "uuid") identity.uuid = value;
    if (name == "secret") secret = ParseNumber(value, identity.secret, 16);
    if (name == "store") {
      store = value == "created" || value == "new";
      identity.store_created = value == "created";
    }
  }
  if (!magic || identity.format == 0) {
    return Error(absl::StatusCode::kDataLoss, "it does not read as the identity of a data directory");
  }
  if (identity.format > kDataFormatVersion) {
    return Error(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("it is of format {}, newer than this program reads (up to {}); use the newer version of "
                    "Baton that wrote it",
                    identity.format, kDataFormatVersion));
  }
  if (identity.uuid.size() != 36 || !secret || !store) {
    return Error(absl::StatusCode::kDataLoss, "lines are missing in it or damaged");
  }
  return identity;
}

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(const std::string& path) {
  BATON_CHECK(!path.empty());
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  if (access(trimmed.c_str(), F_OK) != 0 && errno == ENOENT) {
    if (absl::Status status = MakeDirectories(trimmed); !status.ok()) return status;
  }
  if (absl::Status status = CheckIsOurs(trimmed); !status.ok()) return status;
  const absl::StatusOr<int> lock_fd = Lock(trimmed);
  if (!lock_fd.ok()) return lock_fd.status();
  std::unique_ptr<DataDirectory> directory(new DataDirectory(std::move(trimmed), *lock_fd));
  if (absl::Status status = directory->LoadOrCreateIdentity(); !status.ok()) return status;
  return directory;
}

DataDirectory::~DataDirectory() { close(lock_fd_); }

absl::Status DataDirectory::LoadOrCreateIdentity() {
  const std::string file = fmt::format("{}/{}", path_, kIdentityName);
  if (access(file.c_str(), F_OK) != 0 && errno == ENOENT) {
    identity_ = {.uuid = MakeUuid(), .secret = MakeSecret()};
    return WriteIdentity();
  }
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return text.status();
  absl::StatusOr<DataIdentity> identity = ParseIdentity(*text);
  if (!identity.ok()) {
    return Error(identity.status().code(),
                 fmt::format("cannot use the data directory {} because of its file \"{}\": {}", path_,
                             kIdentityName, std::string(identity.status().message())));
  }
  identity_ = *std::move(identity);
  return absl::OkStatus();
}

absl::Status DataDirectory::WriteIdentity() {
  const std::string temporary = fmt::format("{}/{}", path_, kIdentityTemporaryName);
  const std::string file = fmt::format("{}/{}", path_, kIdentityName);
  if (absl::Status status = WriteFileSynced(temporary, FormatIdentity(identity_)); !status.ok())
    return status;
  if (rename(temporary.c_str(), file.c_str()) != 0)
    return PosixError(fmt::format("cannot write {}", file), errno);
  return SyncDirectory(path_);
}

absl::Status DataDirectory::MakeStorePrivate() const {
  if (chmod(store_path().c_str(), 0700) == 0) return absl::OkStatus();
  return PosixError(fmt::format("cannot make {} private", store_path()), errno);
}

absl::Status DataDirectory::MarkStoreCreated() {
  if (identity_.store_created) return absl::OkStatus();
  identity_.store_created = true;
  return WriteIdentity();
}

}  // namespace baton
