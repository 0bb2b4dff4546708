// RocksReader answers reads, in order, on a thread of its own. A read begins once every commit submitted
// before it is written.
//
// No snapshot or iterator outlives its read: one that stands between a Put and its SingleDelete keeps both on
// disk. THREADS: Read from one thread; the listener's OnRead runs on the reader's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/rocks/write_frontier.h"
#include "storage/store.h"

namespace rocksdb {
class DB;
}

namespace baton {

class RocksReader {
 public:
  struct Figures {
    std::atomic<uint64_t> reads{0};
    std::atomic<uint64_t> rows{0};
  };

  // Borrows all three.
  RocksReader(rocksdb::DB* db, WriteFrontier* frontier, Store::Listener* listener);
  ~RocksReader();

  // `after`: the last commit submitted.
  void Read(ReadRequest request, CommitNumber after);
  // BLOCKS until everything asked is answered, then ends the thread. The committer must have stopped, or
  // still run.
  void Stop();

  const Figures& figures() const { return figures_; }

 private:
  struct Queued {
    ReadRequest request;
    CommitNumber after;
  };

  void Run();
  ReadResult Answer(const ReadRequest& request);

  rocksdb::DB* const db_;
  WriteFrontier* const frontier_;
  Store::Listener* const listener_;

  Mutex mutex_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar work_;

  Figures figures_;
  std::thread thread_;
};

// What RocksReader does for one request, at this moment. BLOCKS.
ReadResult ReadNow(rocksdb::DB* db, const ReadRequest& request);

}  // namespace baton
