// baton consume --exec.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "client/cli/child_command.h"
#include "client/cli/consume_options.h"
#include "client/cli/progress_line.h"
#include "client/cli/report.h"

namespace baton::cli {
namespace {

// What the handler threads have in common. They start at most `max` commands. The end of the last one is
// settled, and what came in excess given back, only after Close: the broker would deliver more at once
// otherwise.
class CommandRun {
 public:
  CommandRun(const ConsumeOptions& options, SettleTally& tally)
      : command_(options.exec), max_(options.max.value_or(UINT64_MAX)), tally_(tally) {}

  Outcome Handle(Delivery& delivery) {
    if (!Start()) {
      WaitUntilClosed();
      return Outcome::Release();
    }
    const auto result = command_.Run(delivery, stopping_);
    if (!Finish(delivery, result)) WaitUntilClosed();
    Settle(delivery, result);
    return Outcome::Manual();
  }

  // Nothing more is delivered.
  void Close() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // Commands get SIGTERM, and their messages are given back. REQUIRES: Close() was called.
  void Stop() { stopping_.store(true); }
  // Waits up to `patience` until everything was started, or something failed.
  bool WaitUntilTaken(std::chrono::milliseconds patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return full(); });
  }
  // Waits up to `patience` until no command runs any more.
  bool WaitUntilIdle(std::chrono::milliseconds patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return finished_ == started_; });
  }

  // Nothing was started or ended since then.
  std::chrono::steady_clock::time_point last() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return last_;
  }
  bool running() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return started_ > finished_;
  }
  uint64_t finished() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return finished_;
  }
  uint64_t bytes() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }
  absl::Status failure() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
  }

 private:
  // No more is to be started. REQUIRES: mutex_.
  bool full() const { return started_ == max_ || !failure_.ok(); }

  // False: one too many.
  bool Start() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_ || full()) return false;
    ++started_;
    last_ = std::chrono::steady_clock::now();
    if (full()) changed_.notify_all();
    return true;
  }

  // True: there is more to start.
  bool Finish(const Delivery& delivery, const absl::StatusOr<ChildResult>& result) {
    std::lock_guard<std::mutex> lock(mutex_);
    ++finished_;
    bytes_ += delivery.body().size();
    last_ = std::chrono::steady_clock::now();
    if (!result.ok()) failure_ = result.status();
    changed_.notify_all();
    return !full();
  }

  void WaitUntilClosed() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return closed_; });
  }

  void Settle(Delivery& delivery, const absl::StatusOr<ChildResult>& result) {
    if (result.ok() && result->ok()) return tally_.Ack(delivery);
    if (!result.ok() || result->stopped_by_us) return tally_.Release(delivery);
    Say(fmt::format("message {}, attempt {}: the command failed ({}); nacked", delivery.message_id(),
                    delivery.attempt(), result->ToText()));
    tally_.Nack(delivery, result->ToText());
  }

  const ChildCommand command_;
  const uint64_t max_;
  SettleTally& tally_;

  std::atomic<bool> stopping_{false};

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  uint64_t started_ = 0;
  uint64_t finished_ = 0;
  uint64_t bytes_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  absl::Status failure_;
};

// Until there is nothing more to start.
void StartCommands(Client& client, Consumer& consumer, const ConsumeOptions& options, const StopSignal& stop,
                   CommandRun& run, ProgressLine& progress) {
  while (stop.Received() == 0 && !run.WaitUntilTaken(kLookAgain)) {
    if (consumer.WaitUntilEnded(std::chrono::milliseconds(0))) return;
    progress.Update(run.finished(), run.bytes());
    if (options.follow || run.running()) continue;
    const auto quiet = std::chrono::steady_clock::now() - run.last();
    if (quiet < kLookAgain) continue;
    if (quiet >= kNothingDelivered || NothingReady(client, options.queue)) return;
  }
}

}  // namespace

absl::Status ConsumeWithCommand(Client& client, const ConsumeOptions& options, const StopSignal& stop,
                                SettleTally& tally) {
  const auto jobs =
      static_cast<uint32_t>(std::min<uint64_t>(options.jobs.value_or(1), options.max.value_or(UINT64_MAX)));
  CommandRun run(options, tally);
  auto consumer =
      client.Subscribe({.queue = options.queue,
                        .handler_threads = static_cast<int>(jobs),
                        .credit = jobs,  // a command costs more than a round trip: nothing is buffered
                        .lease = options.lease},
                       [&run](Delivery& delivery) { return run.Handle(delivery); });
  if (!consumer.ok()) return consumer.status();
  ProgressLine progress("messages handled");
  StartCommands(client, *consumer, options, stop, run, progress);
  const absl::Status ended = consumer->status();
  EndDeliveries(*consumer);
  run.Close();
  while (stop.Received() == 0 && run.failure().ok() && !run.WaitUntilIdle(kLookAgain)) {
    progress.Update(run.finished(), run.bytes());
  }
  progress.Clear();
  run.Stop();
  const absl::Status stopped = consumer->Stop(kStopPatience);
  if (absl::Status failure = run.failure(); !failure.ok()) return failure;
  return ended.ok() ? stopped : ended;
}

}  // namespace baton::cli
