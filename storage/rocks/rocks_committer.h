// RocksCommitter writes commits on a thread of its own. What waits while one write is under way goes into the
// next one together, up to kCommitJoinBytesMax, and is synced if one of them asks; nothing stays unsynced
// longer than a second.
//
// ORDER: as submitted. ERRORS: the first failure is reported once, then nothing is written any more.
// THREADS: Submit from one thread; the listener's OnProgress and OnFailed run on the committer's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "storage/rocks/disk_watch.h"
#include "storage/rocks/rocks_writer.h"
#include "storage/rocks/write_frontier.h"
#include "storage/store.h"

namespace baton {

class RocksCommitter {
 public:
  struct Figures {
    std::atomic<uint64_t> commits{0};
    std::atomic<uint64_t> writes{0};
    std::atomic<uint64_t> syncs{0};
    std::atomic<uint64_t> written_bytes{0};
  };

  // Borrows all four. After so long without a commit what memory holds is flushed: removals that wait there
  // keep the rows they remove on disk.
  RocksCommitter(RocksWriter* writer, WriteFrontier* frontier, DiskWatch* disk_watch,
                 Store::Listener* listener, std::chrono::milliseconds idle_flush);
  ~RocksCommitter();

  void Submit(CommitNumber number, Commit commit, Promise promise);
  // BLOCKS until everything submitted is written and synced, or has failed; then ends the thread.
  void Stop();

  const Figures& figures() const { return figures_; }

 private:
  struct Queued {
    CommitNumber number;
    Commit commit;
    Promise promise;
  };
  struct Joined {
    CommitNumber last;
    bool some_relaxed = false;
    bool some_synced = false;
  };

  void Run();
  // Waits for work and moves what belongs into the next write out of the queue. False: stopped, and nothing
  // is left.
  bool TakeNext(std::deque<Queued>& taken);
  Joined Join(std::deque<Queued>& taken);
  absl::Status WriteJoined(const Joined& joined);
  absl::Status DoIdleWork();
  absl::Status SyncLast();
  absl::Status SyncAndReport();

  RocksWriter* const writer_;
  WriteFrontier* const frontier_;
  DiskWatch* const disk_watch_;
  Store::Listener* const listener_;
  const std::chrono::milliseconds idle_flush_;

  // The committer's thread.
  CommitNumber written_;
  CommitNumber synced_;
  SteadyTime idle_work_at_ = SteadyTime::max();
  bool flush_is_next_ = false;  // of the idle work

  Mutex mutex_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  CommitNumber submitted_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar work_;

  Figures figures_;
  std::thread thread_;
};

}  // namespace baton
