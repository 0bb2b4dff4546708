#include "tests/support/recording_listener.h"

#include <chrono>

namespace baton {

void RecordingListener::OnProgress(CommitNumber written, CommitNumber synced) {
  const MutexLock lock(mutex_);
  if (written < written_ || synced < synced_) complaint_ += "progress went back; ";
  if (written < synced) complaint_ += "synced before written; ";
  if (failures_ > 0) complaint_ += "progress after the failure; ";
  written_ = written;
  synced_ = synced;
  changed_.NotifyAll();
}

void RecordingListener::OnRead(ReadResult result) {
  const MutexLock lock(mutex_);
  read_order_.push_back(result.id);
  if (!reads_.emplace(result.id, std::move(result)).second) complaint_ += "a read was answered twice; ";
  changed_.NotifyAll();
}

void RecordingListener::OnDiskState(DiskState state) {
  const MutexLock lock(mutex_);
  disk_state_ = state;
  changed_.NotifyAll();
}

void RecordingListener::OnFailed(absl::Status status) {
  const MutexLock lock(mutex_);
  if (++failures_ > 1) complaint_ += "failed twice; ";
  if (status.ok()) complaint_ += "failed with ok; ";
  failure_ = std::move(status);
  changed_.NotifyAll();
}

void RecordingListener::WaitUntil(const std::function<bool()>& condition) {
  while (true) {
    const bool driven = let_it_work_();
    const MutexLock lock(mutex_);
    if (condition()) return;
    if (driven) continue;
    changed_.WaitUntil(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(10));
  }
}

bool RecordingListener::WaitForWritten(CommitNumber number) {
  bool reached = false;
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return (reached = written_ >= number) || failures_ > 0; });
  return reached;
}

bool RecordingListener::WaitForSynced(CommitNumber number) {
  bool reached = false;
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return (reached = synced_ >= number) || failures_ > 0; });
  return reached;
}

absl::Status RecordingListener::WaitForFailure() {
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return failures_ > 0; });
  const MutexLock lock(mutex_);
  return failure_;
}

void RecordingListener::WaitForDiskState(DiskState state) {
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return disk_state_ == state; });
}

ReadResult RecordingListener::WaitForRead(ReadId id) {
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return reads_.contains(id); });
  const MutexLock lock(mutex_);
  return reads_.at(id);
}

CommitNumber RecordingListener::written() const {
  const MutexLock lock(mutex_);
  return written_;
}

CommitNumber RecordingListener::synced() const {
  const MutexLock lock(mutex_);
  return synced_;
}

int RecordingListener::failures() const {
  const MutexLock lock(mutex_);
  return failures_;
}

DiskState RecordingListener::disk_state() const {
  const MutexLock lock(mutex_);
  return disk_state_;
}

std::string RecordingListener::complaint() const {
  const MutexLock lock(mutex_);
  return complaint_;
}

std::vector<ReadId> RecordingListener::read_order() const {
  const MutexLock lock(mutex_);
  return read_order_;
}

}  // namespace baton
