#include "storage/rocks/write_frontier.h"

namespace baton {

void WriteFrontier::Advance(CommitNumber written) {
  const MutexLock lock(mutex_);
  written_ = written;
  if (waited_for_) moved_.NotifyAll();
}

void WriteFrontier::Fail(const absl::Status& status) {
  const MutexLock lock(mutex_);
  failure_ = status;
  moved_.NotifyAll();
}

absl::Status WriteFrontier::failure() {
  const MutexLock lock(mutex_);
  return failure_;
}

absl::Status WriteFrontier::WaitFor(CommitNumber number) {
  const MutexLock lock(mutex_);
  waited_for_ = true;
  while (written_ < number && failure_.ok()) moved_.Wait(mutex_);
  waited_for_ = false;
  return failure_;
}

}  // namespace baton
