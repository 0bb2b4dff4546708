// One subscription: buffers what the broker delivers, hands it to handler threads or to Receive, keeps its
// leases alive, counts what is settled. Outlives reconnects.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/consumer.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/delivery_chunk.h"
#include "client/session/settlement.h"
#include "client/session/settlements.h"

namespace baton::client {

class Session;

class ConsumerCore : public std::enable_shared_from_this<ConsumerCore> {
 public:
  // REQUIRES: CheckConsumerOptions(options).
  ConsumerCore(ConsumerOptions options, Handler handler, uint64_t subscription,
               std::shared_ptr<Session> session);

  uint64_t subscription() const { return subscription_; }
  const ConsumerOptions& options() const { return options_; }
  bool InForkedChild() const;
  absl::Status CheckForked() const;

  // --- any thread ---

  // Waits for the broker's answer to the first Subscribe; OK: it is subscribed. BLOCKS.
  absl::Status WaitUntilActive(SteadyTime deadline);
  void StartHandlers();

  absl::StatusOr<std::optional<Delivery>> Receive(SteadyTime deadline);
  absl::Status Stop(SteadyTime deadline);
  absl::Status Flush(SteadyTime deadline);
  bool WaitUntilEnded(SteadyTime deadline);
  // Lets go of handler threads that did not end in time: they keep this object alive until they do.
  void DetachHandlers();
  absl::Status status();
  ConsumerCounters counters() const;
  std::string Describe();  // for people

  void Settle(const std::shared_ptr<DeliveryChunk>& chunk, uint32_t index, const Settlement& how,
              SettleCallback done);

  // --- session's thread ---

  void FillSubscribe(v1::Subscribe& out) const;
  void OnSubscribed();
  void OnDelivered(std::shared_ptr<DeliveryChunk> chunk);
  // The connection is lost, and with it the leases: what was not started is forgotten.
  void OnDisconnected();
  // The subscription is over: asked for (OK), or why.
  void OnEnded(const absl::Status& status);
  void OnAnswered(Settlements::Answer& answer);
  // Extends the leases of what is being handled and gives back what was not started, where it is due. Returns
  // when something is due next.
  SteadyTime RenewLeases(SteadyTime now);

 private:
  enum class Phase {
    kNew,  // not subscribed yet
    kActive,
    kStopping,  // asked to end; nothing is started any more
    kEnded,
  };
  struct Buffered {
    std::shared_ptr<DeliveryChunk> chunk;
    uint32_t next = 0;
  };

  void RunHandlers();
  void RunHandler(Delivery& delivery);
  void RunHandlerHere();  // on the session's thread
  void Apply(Outcome outcome, Delivery& delivery);
  // The next delivery that may start; empty when the buffer has none.
  Delivery TakeBuffered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const Buffered& buffered);
  void GiveBack(const Buffered& buffered);
  void RenewChunk(const std::shared_ptr<DeliveryChunk>& chunk, SteadyTime now);
  void SendAutomatic(const std::shared_ptr<DeliveryChunk>& chunk, uint32_t index, v1::Settle::Kind kind);

  // Constant.
  const ConsumerOptions options_;
  const Handler handler_;
  const uint64_t subscription_;
  const std::shared_ptr<Session> session_;

  // Any thread.
  std::atomic<uint64_t> delivered_{0};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> settled_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> unanswered_{0};  // settlements handed over

  Mutex mutex_;
  CondVar deliverable_;  // something may be in the buffer, or the phase has changed
  CondVar changed_;      // phase, running_, handlers_ or (to zero) unanswered_
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kNew;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::deque<Buffered> buffer_ ABSL_GUARDED_BY(mutex_);
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;   // for deliverable_
  int handlers_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that have not left their loop
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);

  // Session's thread.
  std::vector<std::weak_ptr<DeliveryChunk>> leases_;
  size_t leases_pruned_at_ = 64;
  SteadyTime next_renewal_ = SteadyTime::max();
};

// ERRORS: INVALID_ARGUMENT.
absl::Status CheckConsumerOptions(const ConsumerOptions& options, bool has_handler);

}  // namespace baton::client
