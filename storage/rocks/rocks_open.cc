#include "storage/rocks/rocks_open.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "storage/rocks/rocks_status.h"
#include "storage/rocks/write_mark.h"

namespace baton {
namespace {

// Takes RocksDB's own log lines and drops them, so that looking writes nothing.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

// The mark in the store as `db` sees it: of its last write. Number 0: nothing was written yet.
absl::StatusOr<WriteMark> LastMark(rocksdb::DB* db, const DataDirectory& directory) {
  std::string value;
  const rocksdb::Status status =
      db->Get(rocksdb::ReadOptions(), rocksdb::Slice(kWriteMarkKey.data(), kWriteMarkKey.size()), &value);
  if (status.IsNotFound()) return WriteMark{.secret = directory.identity().secret};
  if (!status.ok()) return FromRocks(status, "cannot read from the store");
  const std::optional<WriteMark> mark = DecodeWriteMark(value);
  if (!mark.has_value()) return absl::DataLossError("the store's write mark does not decode");
  if (mark->secret != directory.identity().secret) {
    return absl::DataLossError(
        fmt::format("{} does not belong to {}: the file \"identity\", or the folder \"store\", was put there "
                    "from another "
                    "data directory. Restore the whole data directory from one copy",
                    directory.store_path(), directory.path()));
  }
  return *mark;
}

absl::Status CannotOpen(const rocksdb::Status& status, const DataDirectory& directory) {
  const std::string what = fmt::format("cannot open the store in {}", directory.store_path());
  // A file that CURRENT or the manifest names and that is not there: no start will find it either.
  if (!status.IsCorruption() && !status.IsPathNotFound()) return FromRocks(status, what);
  return absl::DataLossError(
      fmt::format("{}: {}. Its files are damaged or missing; check the disk, and restore the whole data "
                  "directory from a copy",
                  what, status.ToString()));
}

// Up to which write the tables reach. Looks at a folder without log files instead of the real ones,
// read-only.
absl::StatusOr<uint64_t> FlushedNumber(const rocksdb::Options& options, const DataDirectory& directory) {
  rocksdb::Options looking = options;
  looking.create_if_missing = false;
  looking.wal_dir = directory.path();
  looking.info_log = std::make_shared<SilentLogger>();
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(looking, directory.store_path(), &opened);
  const std::unique_ptr<rocksdb::DB> db(opened);
  if (!status.ok()) return CannotOpen(status, directory);
  const absl::StatusOr<WriteMark> mark = LastMark(db.get(), directory);
  if (!mark.ok()) return mark.status();
  return mark->number;
}

absl::StatusOr<RecoveryReport> Recover(const rocksdb::Options& options, const DataDirectory& directory) {
  const rocksdb::Status exists = options.env->FileExists(directory.store_path() + "/CURRENT");
  if (exists.IsNotFound()) {
    if (!directory.identity().store_created) return RecoveryReport();
    return absl::DataLossError(
        fmt::format("the store in {} has lost its file CURRENT, or all of its files; restore the whole data "
                    "directory from a copy, or "
                    "give an empty one with --data-dir",
                    directory.store_path()));
  }
  if (!exists.ok()) return FromRocks(exists, fmt::format("cannot look into {}", directory.store_path()));
  const absl::StatusOr<uint64_t> flushed = FlushedNumber(options, directory);
  if (!flushed.ok()) return flushed.status();
  return RecoverLog({.file_system = options.env->GetFileSystem().get(),
                     .directory = directory.store_path(),
                     .secret = directory.identity().secret,
                     .flushed_number = *flushed});
}

}  // namespace

absl::StatusOr<OpenedRocks> OpenRocks(const rocksdb::Options& options, const DataDirectory& directory) {
  absl::StatusOr<RecoveryReport> report = Recover(options, directory);
  if (!report.ok()) return report.status();

  OpenedRocks opened{.db = nullptr, .report = *std::move(report)};
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory.store_path(), &db);
  if (!status.ok()) return CannotOpen(status, directory);
  opened.db.reset(db);

  // RocksDB must have found exactly what recovery found.
  const absl::StatusOr<WriteMark> last = LastMark(db, directory);
  if (!last.ok()) return last.status();
  if (last->number != opened.report.last_write_number) {
    return absl::DataLossError(
        fmt::format("the log in {} ends with write {}, but {} was replayed; restore from a copy",
                    directory.store_path(), opened.report.last_write_number, last->number));
  }
  return opened;
}

}  // namespace baton
