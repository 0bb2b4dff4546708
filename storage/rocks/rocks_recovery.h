// Recovery decides, before RocksDB opens the store, what of the log is kept; then RocksDB replays strictly.
//
// What must hold: everything that was reported synced is there, no commit is half there, and what is there is
// a prefix of what was written. A power loss may leave any part of what was not synced, so a log may end in
// damage. Damage to what was synced (a bad disk, a stray hand) must never be taken for that: it would drop
// confirmed messages silently.
//
// The rule. Every write carries a mark (write_mark.h): its number n, and the highest number h known to be
// synced when it was begun. The marks are 1, 2, 3 … without a gap. Tables hold a prefix of the writes, and
// the row of the mark itself, so they say up to which number F. Then:
//
//   1. Follow the log from F + 1 as long as each next write is intact. Let m be the first one missing.
//   2. Look at everything intact past the damage, in all log files. If one carries h >= m, then m had been
//      synced and is gone: refuse to open, name the file and the place, change nothing.
//   3. Else nothing says that m was synced: cut. Each log file keeps its intact beginning with numbers < m,
//      the rest of it is truncated, last file first, so that an interrupted cut is found and done again.
//      Space that was reserved for a log and never written (zeros up to its end) goes in any case: RocksDB
//      takes a tail of a few bytes for damage.
//   4. RocksDB replays what is left under kAbsoluteConsistency; if it finds fault with it, that is an error.
//
// Not decidable: damage to the last synced write before a later one says so. The committer writes a bare mark
// after one second of silence and a synced one when it stops, so that this is at most a second of work just
// before a crash.
//
// Why not RocksDB's own modes (7.8, tried): kPointInTimeRecovery drops everything past a checksum error,
// synced or not; kTolerateCorruptedTailRecords refuses after an ordinary power loss; none of them sees a hole
// of zeros that ends at a block boundary, or a log file that lost its end, or all of itself, before the next
// one began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rocksdb {
class FileSystem;
}

namespace baton {

// What was cut from the end of the log: writes that were under way when the power went, none of them reported
// synced.
struct RecoveryReport {
  struct Cut {
    std::string file;
    uint64_t offset = 0;  // where the damage begins
    uint64_t bytes = 0;   // from there to the end of the file
  };
  std::vector<Cut> cuts;           // empty: the log was whole
  uint64_t last_write_number = 0;  // the last one kept
  uint64_t lost_writes_min =
      0;  // intact past the damage, cut with it; how many more were damaged is not known
};

struct LogRecovery {
  rocksdb::FileSystem* file_system = nullptr;
  std::string directory;        // of the log files
  uint64_t secret = 0;          // of this store's marks
  uint64_t flushed_number = 0;  // F
};

// BLOCKS. Reads all log files; truncates what may be cut. ERRORS: DATA_LOSS: what was synced is damaged.
absl::StatusOr<RecoveryReport> RecoverLog(const LogRecovery& recovery);

}  // namespace baton
