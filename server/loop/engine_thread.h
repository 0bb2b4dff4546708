// EngineThread owns the engine: it takes what arrived, lets the engine decide, hands over the commit and the
// reads, rings the sessions that were spoken to, and sleeps until something is due, posted or rung.
//
// A turn handles a bounded share of what waits, so that deliveries and commits flow while publishers push.
//
// Turns are taken by a thread of its own; but when that one sleeps and the store has news, the store's thread
// takes the turn in its place, which spares a lone confirm the waking of a thread. One at a time: "the
// engine's thread" is, everywhere in the broker, whoever takes the turn.
//
// THREADS: Start and Stop from one thread; Ask from any; the Store::Listener functions are the store's to
// call.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "server/engine/engine.h"
#include "server/engine/latency_histogram.h"
#include "server/loop/broker_time.h"
#include "server/loop/carrier.h"
#include "server/loop/inbox.h"
#include "server/loop/output_router.h"
#include "server/loop/parking.h"
#include "storage/store.h"

namespace baton {

// Rung when a full inbox has room again; carriers then retry what was refused. THREADS: rung on the engine's
// thread.
class Bell {
 public:
  virtual ~Bell() = default;
  virtual void Ring() = 0;
};

// What the loop did since the start.
struct LoopStats {
  uint64_t turns = 0;
  uint64_t commands = 0;
  uint64_t commits = 0;
  uint64_t wall_clock_jumps = 0;
  uint64_t clock_steps = 0;      // of broker time
  Duration wall_clock_ahead{0};  // of broker time
  LatencyHistogram turn_time;    // awake, one turn
  LatencyHistogram commit_time;  // from the hand-over to the promise
};

class EngineThread final : public Store::Listener {
 public:
  struct Options {
    Duration park_max = std::chrono::seconds(1);  // the wall clock is looked at this often
    // On the engine's thread; must not block.
    std::function<void(const absl::Status&)> on_store_failure;  // once at most
    std::function<void(Duration)> on_wall_clock_jump;
    std::function<void(Duration)> on_clock_step;  // of broker time, which follows it
    std::function<void(DiskState)> on_disk_state;
    std::function<void(const std::string&)> on_damage;  // once for each
    std::function<void(const std::string&)> on_warning;
  };

  // Everything passed outlives this object. The engine is loaded and started, the store is not started yet.
  EngineThread(Options options, Engine* engine, OutputRouter* router, Store* store, BrokerTime* time,
               Inbox* inbox, Parking* parking);
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;
  ~EngineThread() override;

  // Before Start: rung when refused posts may be retried.
  void AddBell(Bell* bell) { bells_.push_back(bell); }

  // Before Start: whose frames this thread carries itself.
  void SetCarrier(Carrier* carrier) { carrier_ = carrier; }

  // Starts the store with this listener, then the thread.
  void Start();

  // Handles what was posted before, waits until its commits keep their promises and their confirms are
  // flushed, and ends the thread. Leases are kept: their tokens stay good in the next epoch. BLOCKS.
  void Stop();

  // Copied on the engine's thread: `answer` runs there. Dropped when the thread has ended.
  void AskLoopStats(absl::AnyInvocable<void(const LoopStats&)> answer);

  void OnProgress(CommitNumber written, CommitNumber synced) override;
  void OnRead(ReadResult result) override { inbox_->PostRead(std::move(result)); }
  void OnDiskState(DiskState state) override { inbox_->PostDiskState(state); }
  void OnFailed(absl::Status status) override { inbox_->PostStoreFailure(std::move(status)); }

 private:
  struct PendingCommit {
    CommitNumber number;
    Promise promise;
    Instant submitted;
  };

  void Run();
  bool TryTurnHere() ABSL_LOCKS_EXCLUDED(turn_mutex_);
  // All others are a turn's, or come between two.
  void TakeTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  Duration Rest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void TakeEvents() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void RingBells();
  void HandleReads(Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void HandleShare(Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void Handle(Post post, Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void FinishTurn(Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void Flush();
  void CheckClock();
  void NoteFailure(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  void NoteProgress(CommitNumber written, CommitNumber synced, Instant now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  bool MayEnd() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);

  const Options options_;
  Engine* const engine_;
  OutputRouter* const router_;
  Store* const store_;
  BrokerTime* const time_;
  Inbox* const inbox_;
  Parking* const parking_;
  std::vector<Bell*> bells_;    // constant after Start
  Carrier* carrier_ = nullptr;  // constant after Start; may stay null
  std::thread thread_;

  // Held by whoever takes a turn, with all that belongs to the engine's thread elsewhere.
  Mutex turn_mutex_;
  Inbox::Batch batch_ ABSL_GUARDED_BY(turn_mutex_);
  size_t next_post_ ABSL_GUARDED_BY(turn_mutex_) = 0;  // of batch_.posts: those before it are handled
  size_t next_read_ ABSL_GUARDED_BY(turn_mutex_) = 0;  // of batch_.reads
  HeldBack held_back_ ABSL_GUARDED_BY(turn_mutex_);    // what the inbox was told last
  Instant next_due_ ABSL_GUARDED_BY(turn_mutex_) = kNever;
  Instant sleeps_until_ ABSL_GUARDED_BY(turn_mutex_);  // the thread, when it sleeps
  Instant next_wall_check_ ABSL_GUARDED_BY(turn_mutex_);
  std::deque<PendingCommit> pending_commits_ ABSL_GUARDED_BY(turn_mutex_);
  bool more_ ABSL_GUARDED_BY(turn_mutex_) = true;  // is to be done at once
  bool stopping_ ABSL_GUARDED_BY(turn_mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(turn_mutex_) = false;  // nobody takes a turn any more
  bool store_failed_ ABSL_GUARDED_BY(turn_mutex_) = false;
  LoopStats stats_ ABSL_GUARDED_BY(turn_mutex_);
};

}  // namespace baton
