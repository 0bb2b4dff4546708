#include "storage/rocks/rocks_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "rocksdb/file_system.h"
#include "storage/rocks/log_scanner.h"
#include "storage/rocks/rocks_status.h"
#include "storage/rocks/write_mark.h"

namespace baton {
namespace {

struct LogFile {
  uint64_t number = 0;
  std::string path;
  uint64_t bytes = 0;
  uint64_t kept_bytes = 0;  // its beginning that stays
  bool damaged = false;     // what does not stay is more than reserved space
};

struct Place {
  std::string path;
  uint64_t offset = 0;
};

// What the log files say, from F + 1 on.
struct Findings {
  std::vector<LogFile> files;
  uint64_t missing = 0;         // m
  std::optional<Place> damage;  // first place past m - 1 that cannot be read, or where a number is skipped
  uint64_t later_writes = 0;    // intact, with numbers > m
  uint64_t claimed = 0;         // highest h of an intact write
  Place claim;                  // of that write
};

std::optional<uint64_t> LogNumber(const std::string& name) {
  constexpr std::string_view kSuffix = ".log";
  if (name.size() <= kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t number = 0;
  const char* const end = name.data() + name.size() - kSuffix.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

absl::StatusOr<std::vector<LogFile>> ListLogFiles(const LogRecovery& recovery) {
  std::vector<std::string> names;
  const rocksdb::IOStatus listed =
      recovery.file_system->GetChildren(recovery.directory, rocksdb::IOOptions(), &names, nullptr);
  if (!listed.ok()) return FromRocks(listed, fmt::format("cannot list {}", recovery.directory));
  std::vector<LogFile> files;
  for (const std::string& name : names) {
    const std::optional<uint64_t> number = LogNumber(name);
    if (!number.has_value()) continue;
    LogFile file{.number = *number, .path = fmt::format("{}/{}", recovery.directory, name)};
    const rocksdb::IOStatus sized =
        recovery.file_system->GetFileSize(file.path, rocksdb::IOOptions(), &file.bytes, nullptr);
    if (!sized.ok()) return FromRocks(sized, fmt::format("cannot read {}", file.path));
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const LogFile& a, const LogFile& b) { return a.number < b.number; });
  return files;
}

absl::StatusOr<LogScanner::ReadBlock> OpenForScan(const LogRecovery& recovery, const std::string& path) {
  std::unique_ptr<rocksdb::FSSequentialFile> opened;
  const rocksdb::IOStatus status =
      recovery.file_system->NewSequentialFile(path, rocksdb::FileOptions(), &opened, nullptr);
  if (!status.ok()) return FromRocks(status, fmt::format("cannot open {}", path));
  std::shared_ptr<rocksdb::FSSequentialFile> file = std::move(opened);
  return [file, path](char* buffer, size_t size) -> absl::StatusOr<size_t> {
    size_t filled = 0;
    while (filled < size) {
      rocksdb::Slice part;
      const rocksdb::IOStatus read =
          file->Read(size - filled, rocksdb::IOOptions(), &part, buffer + filled, nullptr);
      if (!read.ok()) return FromRocks(read, fmt::format("cannot read {}", path));
      if (part.empty()) break;
      if (part.data() != buffer + filled) std::copy_n(part.data(), part.size(), buffer + filled);
      filled += part.size();
    }
    return filled;
  };
}

// The mark of a record of this store; nullopt for anything else.
std::optional<WriteMark> OwnMark(const LogRecovery& recovery, const LogScanner::Item& item) {
  if (item.kind != LogScanner::Item::Kind::kRecord) return std::nullopt;
  std::optional<WriteMark> mark = MarkOfBatch(item.head);
  if (mark.has_value() && mark->secret != recovery.secret) return std::nullopt;
  return mark;
}

// The next write follows in `file` although something before it could not be read: that lay in the tables
// already, and RocksDB will not look at those files.
void KeepWhole(Findings& findings, const LogFile& file) {
  findings.damage.reset();
  for (LogFile& earlier : findings.files) {
    if (earlier.number < file.number) earlier.kept_bytes = earlier.bytes;
  }
}

absl::Status NotOurs(const Place& at) {
  return {
      absl::StatusCode::kDataLoss,
      fmt::format(
          "the store's log {} holds at offset {} an intact record that this store did not write; nothing was "
          "changed. Was the file \"identity\", or the folder \"store\", put here from another data "
          "directory? "
          "Restore the whole data directory from one copy",
          at.path, at.offset)};
}

absl::Status ScanFile(const LogRecovery& recovery, LogFile& file, Findings& findings) {
  absl::StatusOr<LogScanner::ReadBlock> read_block = OpenForScan(recovery, file.path);
  if (!read_block.ok()) return read_block.status();
  LogScanner scanner(*std::move(read_block), kBatchHeadBytes);
  bool whole = true;  // no damage in this file so far
  while (true) {
    absl::StatusOr<std::optional<LogScanner::Item>> item = scanner.Next();
    if (!item.ok()) return item.status();
    if (!item->has_value()) break;
    const std::optional<WriteMark> mark = OwnMark(recovery, **item);
    if (mark.has_value() && mark->synced > findings.claimed) {
      findings.claimed = mark->synced;
      findings.claim = {.path = file.path, .offset = (*item)->begin};
    }
    if (mark.has_value() && mark->number <= findings.missing) {
      if (mark->number == findings.missing) {
        ++findings.missing;
        if (findings.damage.has_value()) KeepWhole(findings, file);
      }
      if (whole) file.kept_bytes = (*item)->end;
      continue;
    }
    const Place place{.path = file.path, .offset = (*item)->begin};
    const bool is_record = (*item)->kind == LogScanner::Item::Kind::kRecord;
    if (is_record && !mark.has_value() && whole) return NotOurs(place);
    if (mark.has_value()) ++findings.later_writes;
    whole = false;
    if (!findings.damage.has_value()) findings.damage = place;
  }
  file.damaged = !whole;
  return absl::OkStatus();
}

absl::Status Refusal(const Findings& findings) {
  const Place at = findings.damage.value_or(findings.claim);
  return {
      absl::StatusCode::kDataLoss,
      fmt::format(
          "the store's log is damaged: {} cannot be read at offset {}. Write {} is missing there, and {} at "
          "offset {} shows that it had been synced, so cutting the log here would lose confirmed messages. "
          "Nothing was changed. Check the disk; restore the file, or the whole data directory, from a copy",
          at.path, at.offset, findings.missing, findings.claim.path, findings.claim.offset)};
}

absl::Status TruncateFile(const LogRecovery& recovery, const LogFile& file) {
  std::unique_ptr<rocksdb::FSWritableFile> writable;
  const rocksdb::IOOptions options;
  rocksdb::IOStatus status =
      recovery.file_system->ReopenWritableFile(file.path, rocksdb::FileOptions(), &writable, nullptr);
  if (status.ok()) status = writable->Truncate(file.kept_bytes, options, nullptr);
  if (status.ok()) status = writable->Fsync(options, nullptr);
  if (status.ok()) status = writable->Close(options, nullptr);
  return FromRocks(status, fmt::format("cannot cut the damaged end of {}", file.path));
}

}  // namespace

absl::StatusOr<RecoveryReport> RecoverLog(const LogRecovery& recovery) {
  absl::StatusOr<std::vector<LogFile>> files = ListLogFiles(recovery);
  if (!files.ok()) return files.status();
  Findings findings;
  findings.files = *std::move(files);
  findings.missing = recovery.flushed_number + 1;
  for (LogFile& file : findings.files) {
    if (absl::Status status = ScanFile(recovery, file, findings); !status.ok()) return status;
  }
  if (findings.claimed >= findings.missing) return Refusal(findings);

  RecoveryReport report;
  report.last_write_number = findings.missing - 1;
  report.lost_writes_min = findings.later_writes;
  for (auto file = findings.files.rbegin(); file != findings.files.rend(); ++file) {
    if (file->kept_bytes == file->bytes) continue;
    if (absl::Status status = TruncateFile(recovery, *file); !status.ok()) return status;
    if (!file->damaged) continue;
    report.cuts.insert(
        report.cuts.begin(),
        {.file = file->path, .offset = file->kept_bytes, .bytes = file->bytes - file->kept_bytes});
  }
  return report;
}

}  // namespace baton
