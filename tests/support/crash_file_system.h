// CrashFileSystem is the real file system with a power switch, for RocksDB in tests: it counts the operations
// that change the disk, cuts the power at the n-th of them (which may be torn), fails chosen ones, and at a
// restart takes away what was never synced (tests/support/crash_disk.h).
//
//   auto disk = CrashFileSystem::Create(graveyard, seed);
//   disk->CutPowerAt(17);            // counted from now; then everything fails
//   ... run until it fails; destroy what uses it ...
//   disk->RestorePower();            // unsynced pages are lost, everything works again
//
// THREADS: any; CutPowerAt, RestorePower and the like while nothing uses it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "rocksdb/file_system.h"
#include "tests/support/crash_disk.h"

namespace baton {

class CrashFileSystem : public rocksdb::FileSystemWrapper {
 public:
  enum class Operation { kAppend, kSync };

  static std::shared_ptr<CrashFileSystem> Create(const std::string& graveyard, uint64_t seed);

  const char* Name() const override { return "baton.CrashFileSystem"; }

  // The n-th change from now (1 = the next) and everything after it fails. An append that is cut may be done
  // in part.
  void CutPowerAt(uint64_t n);
  void CutPower() { power_ = false; }
  void RestorePower();
  // As if only the process had been killed: what reached a file stays.
  void ResumeWithoutLoss();
  // Changes so far.
  uint64_t changes() const { return changes_; }
  bool has_power() const { return power_; }

  // The n-th `operation` from now on a file whose name ends with `suffix` fails once with `status`.
  struct Failure {
    Operation operation = Operation::kAppend;
    std::string suffix;
    uint64_t n = 1;
    rocksdb::IOStatus status;
  };
  void FailOnce(Failure failure);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override;

 private:
  friend class CrashWritableFile;
  friend class CrashDirectory;

  CrashFileSystem(const std::string& graveyard, uint64_t seed);

  // One change is about to happen: ok, or the power is off (`torn`: it goes off in the middle of this one),
  // or it fails.
  struct Verdict {
    rocksdb::IOStatus status;
    bool torn = false;
  };
  Verdict Change();
  Verdict Change(Operation operation, const std::string& path);
  // How much of a torn append reaches the file.
  size_t TornBytes(size_t bytes);

  CrashDisk disk_;
  std::atomic<uint64_t> changes_{0};
  std::atomic<bool> power_{true};
  std::atomic<uint64_t> cut_at_{0};  // 0 = never

  std::mutex mutex_;
  std::mt19937_64 random_;          // guarded by mutex_
  std::optional<Failure> failure_;  // guarded by mutex_
};

}  // namespace baton
