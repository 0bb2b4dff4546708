// RecordingListener remembers what a store told it, and waits for it to tell more.
// THREADS: any.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/store.h"

namespace baton {

class RecordingListener : public Store::Listener {
 public:
  // `let_it_work` is called while waiting; true: it did something, do not wait for another thread.
  explicit RecordingListener(std::function<bool()> let_it_work = [] { return false; })
      : let_it_work_(std::move(let_it_work)) {}

  void OnProgress(CommitNumber written, CommitNumber synced) override;
  void OnRead(ReadResult result) override;
  void OnDiskState(DiskState state) override;
  void OnFailed(absl::Status status) override;

  // Until it is so, or the store has failed; false: failed. Tests have a time limit, these have none.
  bool WaitForWritten(CommitNumber number);
  bool WaitForSynced(CommitNumber number);
  absl::Status WaitForFailure();
  void WaitForDiskState(DiskState state);
  ReadResult WaitForRead(ReadId id);

  CommitNumber written() const;
  CommitNumber synced() const;
  int failures() const;
  DiskState disk_state() const;  // kOk until told otherwise
  // Broken promises of the listener's contract, "" when there are none.
  std::string complaint() const;
  std::vector<ReadId> read_order() const;

 private:
  void WaitUntil(const std::function<bool()>& condition);

  const std::function<bool()> let_it_work_;
  mutable Mutex mutex_;
  CondVar changed_;
  CommitNumber written_ ABSL_GUARDED_BY(mutex_);
  CommitNumber synced_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  DiskState disk_state_ ABSL_GUARDED_BY(mutex_) = DiskState::kOk;
  std::map<ReadId, ReadResult> reads_ ABSL_GUARDED_BY(mutex_);
  std::vector<ReadId> read_order_ ABSL_GUARDED_BY(mutex_);
  std::string complaint_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton
