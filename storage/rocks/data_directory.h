// DataDirectory is the folder in which a broker keeps everything, held by one process at a time.
//
//   lock        locked (flock) while a broker runs; holds its process id, for people
//   identity    what this folder is: format, UUID, the secret of its write marks, whether its store is there
//   store/      RocksDB's files
//   ballast     space kept back for a full disk (storage/rocks/ballast.h)
//
// identity is text, one `name value` a line, and is replaced as a whole (write, sync, rename, sync the
// folder):
//
//   baton data-directory
//   format 1
//   uuid 2f1c8d0e-5c0f-4d5e-9d0a-8f6f3c1b2a90
//   secret 9f86d081884c7d65
//   store created
//
// To change what the folder holds: raise kDataFormatVersion, read every earlier version in ParseIdentity,
// write the step that converts, and say so in docs/storage-format.md. OWNERSHIP: the lock is held until the
// object is destroyed. THREADS: not synchronised.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {

inline constexpr uint32_t kDataFormatVersion = 1;

struct DataIdentity {
  uint32_t format = kDataFormatVersion;
  std::string uuid;
  uint64_t secret = 0;
  bool store_created = false;
};

std::string FormatIdentity(const DataIdentity& identity);
// FAILED_PRECONDITION for a newer format, DATA_LOSS for what is not an identity at all.
absl::StatusOr<DataIdentity> ParseIdentity(std::string_view text);

class DataDirectory {
 public:
  // Creates the folder (0700) when it is not there or empty, locks it, and reads or writes its identity.
  // ERRORS, each with what to do: in use (and by which process), not ours, newer format, read-only, not a
  // directory, no permission.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(const std::string& path);

  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string store_path() const { return path_ + "/store"; }
  std::string ballast_path() const { return path_ + "/ballast"; }
  const DataIdentity& identity() const { return identity_; }

  // The store's folder, once it is there: 0700, whatever the umask or an earlier version made it.
  absl::Status MakeStorePrivate() const;
  // From now on a folder without a store is damage, not a first start. Synced when it returns.
  absl::Status MarkStoreCreated();

 private:
  DataDirectory(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

  absl::Status LoadOrCreateIdentity();
  absl::Status WriteIdentity();

  const std::string path_;
  const int lock_fd_;
  DataIdentity identity_;
};

}  // namespace baton
