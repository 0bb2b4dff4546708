// RocksStore keeps rows in RocksDB (DESIGN §4; docs/storage-format.md for what is on disk).
//
// Threads of its own from Start to Stop: one that writes, one that reads, one that watches the disk.
// OWNERSHIP: holds the data directory's lock until it is destroyed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "storage/rocks/rocks_recovery.h"
#include "storage/store.h"

namespace rocksdb {
class FileSystem;
struct Options;
}  // namespace rocksdb

namespace baton {

struct RocksMemoryPlan;

class RocksStore : public Store {
 public:
  struct Options {
    std::string path;  // the data directory
    // RocksDB's share of the broker's budget: memtables and block cache, index and filter blocks included.
    size_t memory_budget_bytes = 128u << 20;
    size_t wal_bytes_max = 64u << 20;
    // Space kept back for a full disk, and below which free space publishers are refused. Not given: what
    // log, memtables and a compaction may need at once, at most a tenth of the disk. 0: none.
    std::optional<uint64_t> ballast_bytes = std::nullopt;
    std::optional<uint64_t> disk_low_bytes = std::nullopt;
    // Kept for files when clients take all that the process may have open.
    size_t descriptors_reserved = 0;
    // After so long without a commit memory is flushed, so that what was removed goes from the disk, too.
    std::chrono::milliseconds idle_flush = std::chrono::seconds(20);
    // Assert that rows alternate Put and SingleDelete (rocks_alternation.h).
#ifdef NDEBUG
    bool check_alternation = false;
#else
    bool check_alternation = true;
#endif
    // For tests: what RocksDB writes through; null = the operating system's.
    std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
    // For tests: sets RocksDB up in another way.
    std::function<void(rocksdb::Options&)> adjust = nullptr;
  };

  // BLOCKS. Opens or creates the store, recovers it, raises the epoch and syncs it.
  // ERRORS say what is wrong and what to do; docs/storage-format.md lists them.
  static absl::StatusOr<std::unique_ptr<RocksStore>> Open(const Options& options);

  ~RocksStore() override;

  // This life's; never the same twice.
  Epoch epoch() const;
  // The data directory's, for ever.
  const std::string& uuid() const;
  // What the opening found.
  const RecoveryReport& recovery_report() const;

  void Start(Listener* listener) override;
  void Stop() override;
  // Why the store has failed; OK when it has not. To be asked after Stop, whose last sync may fail when
  // nobody takes the listener's word any more. THREADS: any.
  absl::Status failure() const;
  absl::Status Submit(CommitNumber number, Commit commit, Promise promise) override;
  void Read(ReadRequest request) override;
  absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) override;
  Stats stats() const override;

 private:
  struct Parts;  // keeps RocksDB's headers out of ours
  static absl::Status WatchDisk(const Options& options, const RocksMemoryPlan& plan, Parts& parts);
  explicit RocksStore(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace baton
