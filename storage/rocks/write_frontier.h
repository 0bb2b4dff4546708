// WriteFrontier: up to where commits are written. The committer moves it, the reader waits for it.
// THREADS: any.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace baton {

class WriteFrontier {
 public:
  void Advance(CommitNumber written);
  // Everything not yet written never will be.
  void Fail(const absl::Status& status);

  // OK while it has not failed.
  absl::Status failure();

  // BLOCKS until every commit up to `number` is written (ok), or the store has failed (why).
  absl::Status WaitFor(CommitNumber number);

 private:
  Mutex mutex_;
  CommitNumber written_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool waited_for_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar moved_;
};

}  // namespace baton
