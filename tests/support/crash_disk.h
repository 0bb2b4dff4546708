// CrashDisk knows what a power loss may take from a folder of real files, and takes it.
//
//   contents    any subset of the 4 KiB pages written and not synced is kept; lost pages before a kept one
//   read as zeros,
//               and a file may keep its length with zeros for its lost end
//   log files   (*.log) may have a tail of zeros of any length: space that was reserved for them, which only
//               closing them in order gives back
//   truncation  not synced: may not have happened
//   names       creations, renames and removals not followed by a sync of the folder: a prefix of them is
//   kept, as a
//               journal keeps it; but a new log file (*.log) may vanish alone
//
// Files only grow at their end, or are truncated: what RocksDB does.
// THREADS: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace baton {

class CrashDisk {
 public:
  // `graveyard`: an empty folder on the same file system, for files whose removal may have to be undone.
  explicit CrashDisk(std::string graveyard) : graveyard_(std::move(graveyard)) {}

  void Created(const std::string& path);
  void Appended(const std::string& path, uint64_t bytes);
  void Synced(const std::string& path);
  // Each does the operation itself; false: it failed (errno).
  bool Truncate(const std::string& path, uint64_t size);
  bool Rename(const std::string& from, const std::string& to);
  bool Remove(const std::string& path);
  // Names in all folders: RocksDB has one.
  void NamesSynced();

  // Takes from the files what was not synced, as `random` decides. REQUIRES: no file is open for writing.
  void LosePower(std::mt19937_64& random);
  // Only the process died: takes nothing; log files keep the space reserved for them.
  void LoseProcess(std::mt19937_64& random);

 private:
  struct File {
    uint64_t bytes = 0;
    uint64_t synced_bytes = 0;
    std::string cut_off;  // what an unsynced truncation removed: it stood behind `bytes`
  };
  struct NameChange {
    enum class Kind { kCreated, kRenamed, kRemoved };
    Kind kind;
    std::string path;   // new name, or removed name
    std::string from;   // kRenamed: old name
    std::string grave;  // where the removed or replaced file lies; "" if there was none
    File file;          // of the grave
  };

  File& Know(const std::string& path);
  std::string NewGrave();
  static void AddReservedTail(const std::string& path, std::mt19937_64& random);
  void UndoContents(const std::string& path, const File& file, std::mt19937_64& random);
  void UndoName(const NameChange& change);

  const std::string graveyard_;
  std::mutex mutex_;
  uint64_t graves_ = 0;
  std::map<std::string, File> files_;
  std::vector<NameChange> names_;
};

}  // namespace baton
