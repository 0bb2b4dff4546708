// Settles by token what cannot be settled by tag any more, because the session that delivered it is over.
// Such an ack still counts if the message was not delivered to anyone else since: a late ack that harms
// nobody.
//
// Its own thread makes the calls, one at a time; it is started when there is something to do.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/mutex.h"
#include "client/session/settlement.h"
#include "client/session/settlements.h"
#include "client/transport/backoff.h"

namespace baton::client {

class LateSettler {
 public:
  // Settles tokens at the broker: one status per token, or an error of the whole call. BLOCKS. Runs on the
  // settler's thread.
  using Send = std::function<absl::StatusOr<std::vector<absl::Status>>(
      const Settlement& how, const std::vector<std::string>& tokens)>;
  // Takes what was answered. Runs on the settler's thread, and in Stop and Add on the caller's.
  using Answered = std::function<void(std::vector<Settlements::Answer> answers)>;

  struct Calls {
    Send send;
    std::function<void()> cancel;  // ends the one on its way, and later ones: CANCELLED. Any thread
  };

  LateSettler(Calls calls, Answered answered) : calls_(std::move(calls)), answered_(std::move(answered)) {}
  ~LateSettler() { Stop(absl::CancelledError()); }

  void Add(SettleGroup group);
  // Tries while the broker is there, waits while it is not.
  void SetConnected(bool connected);
  // Nothing waits and nothing is on its way.
  bool idle();
  // For people.
  std::string Describe();
  // Answers the rest with `error`, and what is added later. A call on its way is cancelled.
  void Stop(const absl::Status& error);

 private:
  // Between calls that did not get through, unless the session is lost and comes back before.
  static constexpr std::chrono::milliseconds kRetryPauseMax{2'000};

  bool MayTry() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  // Moves the entries that were answered out of `group`; what is left could not be asked, because the broker
  // is gone.
  std::vector<Settlements::Answer> SendGroup(SettleGroup& group);

  const Calls calls_;
  const Answered answered_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<SettleGroup> waiting_ ABSL_GUARDED_BY(mutex_);
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  // Counts connections; 0 = not connected. One that has failed is tried again at retry_at_.
  uint64_t connection_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_connection_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_connection_ ABSL_GUARDED_BY(mutex_) = 0;
  Backoff retry_pauses_ ABSL_GUARDED_BY(mutex_){kRetryPauseMax};
  SteadyTime retry_at_ ABSL_GUARDED_BY(mutex_){};  // on that connection
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton::client
