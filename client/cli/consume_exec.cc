// baton consume --exec.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "client/cli/child_command.h"
#include "client/cli/consume_options.h"
#include "client/cli/progress_line.h"
#include "client/cli/report.h"

namespace baton::cli {
namespace {

// What the handler threads have in common.
class CommandRun {
 public:
  explicit CommandRun(const ConsumeOptions& options)
      : command_(options.exec), max_(options.max.value_or(UINT64_MAX)) {}

  Outcome Handle(const Delivery& delivery) {
    if (stopping_.load() || started_.fetch_add(1) >= max_) return Outcome::Release();
    const auto result = command_.Run(delivery, stopping_);
    Outcome outcome = Decide(delivery, result);
    last_.store(std::chrono::steady_clock::now().time_since_epoch().count());
    return outcome;
  }

  // Commands get SIGTERM, and their messages are given back.
  void Stop() { stopping_.store(true); }
  bool through() const { return finished_.load() >= max_; }
  // Nothing was started or ended since then.
  std::chrono::steady_clock::time_point last() const {
    return std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(last_.load()));
  }
  uint64_t running() const { return std::min(started_.load(), max_) - finished_.load(); }
  uint64_t finished() const { return finished_.load(); }

  ConsumeCounts counts() {
    std::lock_guard<std::mutex> lock(mutex_);
    return counts_;
  }
  absl::Status failure() {
    std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
  }

 private:
  Outcome Decide(const Delivery& delivery, const absl::StatusOr<ChildResult>& result) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!result.ok()) {
      failure_ = result.status();
      stopping_.store(true);
    }
    if (!result.ok() || (result->stopped_by_us && !result->ok())) {
      ++counts_.released;
      finished_.fetch_add(1);
      return Outcome::Release();
    }
    finished_.fetch_add(1);
    counts_.bytes += delivery.body().size();
    if (result->ok()) {
      ++counts_.acked;
      return Outcome::Ack();
    }
    ++counts_.nacked;
    Say(fmt::format("message {}, attempt {}: the command failed ({}); nacked", delivery.message_id(),
                    delivery.attempt(), result->ToText()));
    return Outcome::Nack({.reason = result->ToText()});
  }

  const ChildCommand command_;
  const uint64_t max_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> finished_{0};
  std::atomic<int64_t> last_{std::chrono::steady_clock::now().time_since_epoch().count()};
  std::mutex mutex_;
  ConsumeCounts counts_;
  absl::Status failure_;
};

}  // namespace

absl::Status ConsumeWithCommand(Client& client, const ConsumeOptions& options, const StopSignal& stop,
                                ConsumeCounts& counts) {
  CommandRun run(options);
  const auto jobs =
      static_cast<uint32_t>(std::min<uint64_t>(options.jobs, options.max.value_or(options.jobs)));
  auto consumer =
      client.Subscribe({.queue = options.queue,
                        .handler_threads = static_cast<int>(jobs),
                        .credit = jobs,  // a command costs more than a round trip: nothing is buffered
                        .lease = options.lease},
                       [&run](Delivery& delivery) { return run.Handle(delivery); });
  if (!consumer.ok()) return consumer.status();
  ProgressLine progress("messages handled");
  while (stop.Received() == 0 && !run.through() && run.failure().ok()) {
    if (consumer->WaitUntilEnded(kLookAgain)) break;
    progress.Update(run.finished(), run.counts().bytes);
    if (options.follow || run.running() > 0) continue;
    const auto quiet = std::chrono::steady_clock::now() - run.last();
    if (quiet < kLookAgain) continue;
    if (quiet >= kNothingDelivered || NothingReady(client, options.queue)) break;
  }
  progress.Clear();
  if (stop.Received() != 0) run.Stop();
  const absl::Status ended = consumer->status();
  const absl::Status stopped = consumer->Stop(kStopPatience);
  counts = run.counts();
  if (absl::Status failure = run.failure(); !failure.ok()) return failure;
  return ended.ok() ? stopped : ended;
}

}  // namespace baton::cli
