// The core of a broker, engine and RocksStore, on a disk that forgets. Its one owner is the test's thread and
// its clock the test's, so that what a power loss meets is decided by a seed and not by a scheduler.
//
//   CrashBroker broker({.path = …, .disk = disk}, &outputs);
//   ASSERT_TRUE(broker.Start(now).ok());
//   broker.Handle(Publish{…});
//   broker.EndTurn();                       // decides, submits, starts reads; does not wait
//   broker.RunUntil([&] { return confirmed; });
//
// THREADS: one owner. Outputs are called inside Handle, EndTurn and the Run functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "server/engine/engine.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/crash_file_system.h"

namespace baton {

class CrashBroker : private Store::Listener {
 public:
  struct Options {
    std::string path;  // the data directory
    std::shared_ptr<CrashFileSystem> disk;
    size_t window_bytes = 16u << 10;  // so small that queues spill
    size_t chunk_rows = 4;
  };

  // `outputs` outlives the broker.
  CrashBroker(Options options, Outputs* outputs) : options_(std::move(options)), outputs_(outputs) {}
  ~CrashBroker() override { Stop(); }

  // Opens the store and loads the engine.
  absl::Status Start(Instant now);
  // Ends this life: as a crash when the disk has no power, else in order.
  void Stop();

  Epoch epoch() const { return store_->epoch(); }
  Instant now() const { return now_; }
  // Something falls due only in the next turn.
  void SetNow(Instant now) { now_ = now; }

  // Counts turns from 1 over all lives: the one that what is handled now takes effect in.
  uint64_t turn() const { return turn_; }
  void Handle(Command command) { engine_->Handle(std::move(command), now_); }
  void EndTurn();  // with what the store has told so far

  // Turns until `done`, and if need be until the store has synced what nobody hurries to sync (a second).
  // False: the store failed before, or nothing is left that could bring it about.
  bool RunUntil(const std::function<bool()>& done);
  // Turns until nothing moves at this instant: commits keep their promises, reads are answered.
  // False: the store failed.
  bool RunUntilStill();

  // OK as long as the store and what it holds are sound. A store without power fails.
  const absl::Status& failure() const { return failure_; }

 private:
  struct Events {
    std::optional<std::pair<CommitNumber, CommitNumber>> progress;  // written, synced
    std::deque<ReadResult> reads;
    std::optional<absl::Status> failure;
    bool any() const { return progress.has_value() || !reads.empty() || failure.has_value(); }
  };

  void OnProgress(CommitNumber written, CommitNumber synced) override;
  void OnRead(ReadResult result) override;
  void OnDiskState(DiskState /*state*/) override {}  // no ballast, no limit
  void OnFailed(absl::Status status) override;

  absl::Status Load();
  // False: nothing came (`wait`: nothing can come).
  enum class Wait { kNo, kForOne };
  bool TakeEvents(Wait wait, CommitNumber to_be_synced);
  bool Outstanding(CommitNumber to_be_synced) const;
  bool RunUntil(const std::function<bool()>& done, const CommitNumber& to_be_synced);
  void FinishTurn();

  const Options options_;
  Outputs* const outputs_;

  // The owner's.
  std::unique_ptr<RocksStore> store_;
  std::unique_ptr<Engine> engine_;
  Instant now_;
  uint64_t turn_ = 1;
  CommitNumber submitted_;
  CommitNumber to_be_synced_;  // the last one that must be
  CommitNumber written_;
  CommitNumber synced_;
  size_t reads_in_flight_ = 0;
  bool moved_ = false;  // the last turn started something
  absl::Status failure_;

  Mutex mutex_;
  CondVar came_;
  Events events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton
