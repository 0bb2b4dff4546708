#include "storage/rocks/rocks_committer.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "rocksdb/perf_level.h"

namespace baton {
namespace {

// Of a relaxed commit, and of the claim that the last write was synced.
constexpr std::chrono::seconds kUnsyncedMax{1};

SteadyTime InASecond() { return std::chrono::steady_clock::now() + kUnsyncedMax; }

}  // namespace

RocksCommitter::RocksCommitter(RocksWriter* writer, WriteFrontier* frontier, DiskWatch* disk_watch,
                               Store::Listener* listener, std::chrono::milliseconds idle_flush)
    : writer_(writer),
      frontier_(frontier),
      disk_watch_(disk_watch),
      listener_(listener),
      idle_flush_(idle_flush),
      thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "baton-commit");
}

RocksCommitter::~RocksCommitter() { Stop(); }

void RocksCommitter::Submit(CommitNumber number, Commit commit, Promise promise) {
  bool wake = false;
  {
    const MutexLock lock(mutex_);
    BATON_CHECK(!stopping_);
    BATON_CHECK_EQ(number.value(), submitted_.value() + 1);
    submitted_ = number;
    if (failed_) return;
    queue_.push_back({.number = number, .commit = std::move(commit), .promise = promise});
    wake = waiting_;
  }
  if (wake) work_.NotifyOne();  // without the mutex, which it would wait for at once
}

void RocksCommitter::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    work_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

void RocksCommitter::Run() {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);  // it counts every comparison, for nobody
  absl::Status status;
  std::deque<Queued> taken;
  while (status.ok() && TakeNext(taken)) {
    status = taken.empty() ? DoIdleWork() : WriteJoined(Join(taken));
  }
  if (status.ok()) status = SyncLast();
  if (status.ok()) return;
  {
    const MutexLock lock(mutex_);
    failed_ = true;
    queue_.clear();
  }
  frontier_->Fail(status);
  listener_->OnFailed(status);
}

bool RocksCommitter::TakeNext(std::deque<Queued>& taken) {
  const MutexLock lock(mutex_);
  while (queue_.empty()) {
    if (stopping_) return false;
    waiting_ = true;
    const bool timed_out = !work_.WaitUntil(mutex_, idle_work_at_);
    waiting_ = false;
    if (timed_out && queue_.empty()) return true;
  }
  size_t bytes = 0;
  do {
    bytes += queue_.front().commit.bytes();
    taken.push_back(std::move(queue_.front()));
    queue_.pop_front();
  } while (!queue_.empty() && bytes + queue_.front().commit.bytes() <= kCommitJoinBytesMax);
  return true;
}

RocksCommitter::Joined RocksCommitter::Join(std::deque<Queued>& taken) {
  Joined joined;
  for (Queued& queued : taken) {
    writer_->Add(queued.commit);
    joined.last = queued.number;
    (queued.promise == Promise::kSynced ? joined.some_synced : joined.some_relaxed) = true;
  }
  figures_.commits.fetch_add(taken.size(), std::memory_order_relaxed);
  taken.clear();
  return joined;
}

absl::Status RocksCommitter::WriteJoined(const Joined& joined) {
  const size_t bytes = writer_->bytes();
  const bool was_synced = !writer_->needs_sync();
  // A relaxed commit is synced within a second also when others never pause.
  const bool sync = joined.some_synced || (!was_synced && std::chrono::steady_clock::now() >= idle_work_at_);
  if (absl::Status status = writer_->Write(); !status.ok()) return status;
  figures_.writes.fetch_add(1, std::memory_order_relaxed);
  figures_.written_bytes.fetch_add(bytes, std::memory_order_relaxed);
  disk_watch_->Wrote(bytes);
  written_ = joined.last;
  frontier_->Advance(written_);  // reads need not wait for the sync
  if (was_synced) idle_work_at_ = InASecond();
  flush_is_next_ = false;
  if (joined.some_relaxed || !sync) listener_->OnProgress(written_, synced_);
  return sync ? SyncAndReport() : absl::OkStatus();
}

// The deadline set by the last write has come and nothing else is to be written.
absl::Status RocksCommitter::DoIdleWork() {
  if (writer_->needs_sync()) return SyncAndReport();
  if (!flush_is_next_) {
    flush_is_next_ = true;
    idle_work_at_ = std::chrono::steady_clock::now() + idle_flush_;
    return writer_->needs_claim() ? writer_->Write() : absl::OkStatus();
  }
  idle_work_at_ = SteadyTime::max();
  writer_->FlushIdle();
  return absl::OkStatus();
}

// So that a store that was stopped in order says of everything in it that it was synced.
absl::Status RocksCommitter::SyncLast() {
  if (writer_->needs_sync()) {
    if (absl::Status status = SyncAndReport(); !status.ok()) return status;
  }
  if (!writer_->needs_claim()) return absl::OkStatus();
  if (absl::Status status = writer_->Write(); !status.ok()) return status;
  return writer_->Sync();
}

absl::Status RocksCommitter::SyncAndReport() {
  if (absl::Status status = writer_->Sync(); !status.ok()) return status;
  figures_.syncs.fetch_add(1, std::memory_order_relaxed);
  idle_work_at_ = InASecond();
  synced_ = written_;
  listener_->OnProgress(written_, synced_);
  return absl::OkStatus();
}

}  // namespace baton
