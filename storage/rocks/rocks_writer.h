// RocksWriter puts commits into RocksDB: converts their operations, sets the write mark, knows what is
// synced.
//
// A write is: Add (once or more), then Write. Its first row is its mark (storage/rocks/write_mark.h).
// THREADS: one at a time; the opening thread first, the committer's afterwards.
// ERRORS: after the first failed Write or Sync the object must not be used again (an fsync is never retried).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/write_batch.h"
#include "storage/format/commit.h"
#include "storage/rocks/rocks_alternation.h"
#include "storage/rocks/rocks_damage_listener.h"

namespace rocksdb {
class DB;
}

namespace baton {

class RocksWriter {
 public:
  struct Options {
    uint64_t secret = 0;
    uint64_t last_number = 0;        // of the writes in the store; all of them count as synced
    bool check_alternation = false;  // see rocks_alternation.h
    RocksDamageListener* damage = nullptr;
  };
  RocksWriter(rocksdb::DB* db, const Options& options);

  void Add(const Commit& commit);
  // A row of the store's own (M …).
  void AddMeta(std::string_view key, std::string_view value);
  // Of the write being put together.
  size_t bytes() const { return batch_.GetDataSize(); }

  // BLOCKS. Writes what was added, possibly nothing but the mark, to the log and to memory.
  absl::Status Write();
  // BLOCKS. Syncs everything written.
  absl::Status Sync();

  // Lets RocksDB write its memory to tables, and return: those full of removals are then compacted by
  // themselves (rocks_tombstone_collector.h). Not for a few rows.
  void FlushIdle();

  // Something was written that a power loss may take.
  bool needs_sync() const { return last_content_ > synced_; }
  // Something is synced and no later write says so yet: damage to it would look like an unsynced tail.
  bool needs_claim() const { return last_content_ > claimed_; }
  uint64_t last_number() const { return last_number_; }

 private:
  void PutMarkFirst();

  rocksdb::DB* const db_;
  const uint64_t secret_;
  RocksDamageListener* const damage_;              // may be null
  std::unique_ptr<RocksAlternation> alternation_;  // null: not checked
  rocksdb::WriteBatch batch_;
  bool has_content_ = false;  // the batch holds more than its mark
  uint64_t last_number_;      // highest written
  uint64_t last_content_;     // highest written that is more than a mark
  uint64_t synced_;           // highest synced
  uint64_t claimed_;          // the highest `synced` in a written mark
};

}  // namespace baton
