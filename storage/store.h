// Store makes queue state survive a crash. It knows rows, not queues.
//
// ORDER: commits take effect in the order of submission, and none is durable before the ones before it.
// THREADS: Submit and Read from one owner thread. The listener is called on the store's threads, one call at
// a time for progress and one at a time for reads, never while a lock of the store is held. Progress may be
// answered with new work, and the next write waits for it; all others are only posted. ERRORS: the first
// failed commit poisons the store: everything after it fails, OnFailed is called once, and the process is
// expected to exit (an fsync is never retried).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/ids.h"
#include "storage/format/commit.h"
#include "storage/memory/memory_use.h"

namespace baton {

// What must hold before a commit counts as done.
enum class Promise : uint8_t {
  kApplied,  // of what concerns only rows in shared memory: holds when Submit returns, survives kill -9
  kWritten,  // in the log: survives kill -9; synced within one second
  kSynced,   // survives power loss
};

struct ReadRequest {
  ReadId id = {};

  // Point reads; when not empty the range below is ignored. The result has one row per key, in this order;
  // with `bytes_max` only of the first ones, until so many bytes of values are there (at least two).
  std::vector<std::string> keys = {};
  // The keys are locators, which name no queue, of messages born in memory queues.
  bool born_in_memory = false;

  // Otherwise the rows of [begin, end), in key order (`reverse`: from the last one backwards), until
  // `rows_max` rows or `bytes_max` bytes of values, or up to a row that cannot be read; always at least one
  // row where there is one. A read that begins with one that cannot be read fails.
  std::string begin = {};
  std::string end = {};
  size_t rows_max = 0;
  size_t bytes_max = 0;
  bool reverse = false;
  // Goes on behind what cannot be read, with as little left out as is simple. Not with `reverse`.
  bool skip_damage = false;

  // When set, each row found also carries the value of the row `companion(key)`, read at the same moment.
  // Runs on the reader's thread: a pure function.
  std::string (*companion)(std::string_view key) = nullptr;
};

struct Row {
  std::string key;
  std::optional<std::string> value;  // nullopt only for a point read that found nothing
  std::optional<std::string> companion;
  absl::Status status;  // why the row, or (when there is a value) its companion, could not be read
};

struct ReadResult {
  ReadId id;
  absl::Status status;  // DATA_LOSS, INTERNAL: this read has failed, and says nothing of others
  std::vector<Row> rows;
  bool end_reached = false;  // of a range: there was nothing more before `end` (reverse: before `begin`)
  size_t skipped = 0;        // places that could not be read and were left out
  // The store has failed: nothing was read, and nothing will be. No news of any row.
  bool store_failed = false;
};

// What the next commit may write of rows of memory queues (Commit::memory_bytes). Whoever keeps to it is
// never told that there is no room. What rewrites, and what removes, may begin below its figure, and pass it
// by one message of `largest` bytes.
struct MemoryRoom {
  size_t grow = 0;         // with what makes the store grow
  size_t rewrite = 0;      // with what writes again as much as it removes, or little more
  size_t remove = 0;       // with what removes
  size_t largest = 0;      // a message that grows the store may have so many bytes; a larger one has to ask
  size_t index_bytes = 0;  // that the rows there are take of the process's own memory

  friend bool operator==(const MemoryRoom&, const MemoryRoom&) = default;
};

// Of a disk.
enum class DiskState : uint8_t {
  kOk,
  kLow,  // only the reserve is left: refuse what grows, go on with what shrinks
};

class Store {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Every commit up to `written` is written, every commit up to `synced` is synced; written >= synced. Old
    // news may come after newer ones. May submit and read.
    virtual void OnProgress(CommitNumber written, CommitNumber synced) = 0;
    virtual void OnRead(ReadResult result) = 0;
    virtual void OnDiskState(DiskState state) = 0;
    // Once. Nothing submitted after the last progress can be confirmed.
    virtual void OnFailed(absl::Status status) = 0;
  };

  // Figures for metrics; any thread.
  struct Stats {
    uint64_t commits = 0;
    uint64_t writes = 0;  // commits are joined: writes <= commits
    uint64_t syncs = 0;
    uint64_t written_bytes = 0;
    uint64_t reads = 0;
    uint64_t rows_read = 0;
    uint64_t memory_bytes = 0;  // memtables, block cache, table readers
    uint64_t disk_bytes = 0;    // all that the data directory takes, as of the last look (about now)
    uint64_t disk_free_bytes = 0;
  };

  virtual ~Store() = default;

  // Once, before the first Submit or Read. The listener outlives the store's Stop.
  virtual void Start(Listener* listener) = 0;
  // Finishes and syncs everything submitted, then calls the listener no more. BLOCKS.
  virtual void Stop() = 0;

  // Writes all of `commit` or nothing, after everything submitted before it. Returns at once.
  // REQUIRES: `number` is the last one + 1, starting at 1; commit.bytes() <= kCommitBytesMax.
  // ERRORS: what is to be done at once (Promise::kApplied) could not be: the store has failed, as by
  // OnFailed.
  virtual absl::Status Submit(CommitNumber number, Commit commit, Promise promise) = 0;

  // Reads at one moment that is not before every commit submitted so far is written. Returns at once; reads
  // are answered in order. The answer is a proposal: later commits may have changed the rows since.
  virtual void Read(ReadRequest request) = 0;

  // Before Start only: visits the rows of [begin, end) in order. BLOCKS.
  virtual absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) = 0;

  // Now and then, on the owner's thread: is there memory again?
  virtual void LookAgain() {}
  // Shared memory, for rows of memory queues. Owner's thread.
  // For the next commit; asked again after each, and now and then.
  virtual MemoryRoom memory_room() { return {}; }
  virtual MemoryUse memory_use() { return {}; }  // looks at every segment: for people, not for each commit
  // Room for a commit that holds `bytes`, with a message of `message_bytes` that makes the store grow.
  // ERRORS, each with why: RESOURCE_EXHAUSTED: what there is must do, for now; FAILED_PRECONDITION, INTERNAL:
  // there can be no shared memory until an operator has seen to it.
  virtual absl::Status MakeMemoryRoom(size_t /*bytes*/, size_t /*message_bytes*/) {
    return absl::ResourceExhaustedError("this store keeps no memory queues");
  }

  virtual Stats stats() const = 0;
};

}  // namespace baton
