// OutputRouter hands the engine's outputs to the sessions and calls they are for, and flushes each session
// that was spoken to once a turn. THREADS: the engine's thread only.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/engine/outputs.h"
#include "server/loop/recipients.h"

namespace baton {

class OutputRouter final : public Outputs {
 public:
  OutputRouter() = default;
  OutputRouter(const OutputRouter&) = delete;
  OutputRouter& operator=(const OutputRouter&) = delete;

  // Before the command that names the session or call is handled.
  void AddSession(SessionId session, std::shared_ptr<SessionRecipient> recipient);
  void AddCall(CallId call, std::shared_ptr<CallRecipient> recipient);
  // After CloseSession was handled: the engine says nothing more to it.
  void RemoveSession(SessionId session);

  // At the end of a turn.
  void Flush();

  size_t sessions() const { return sessions_.size(); }
  size_t calls() const { return calls_.size(); }

  void SessionOpened(SessionId session, uint64_t accepted_sequence) override;
  void Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration> lease) override;
  void SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) override;
  void Deliver(SessionId session, const DeliveryView& delivery) override;
  bool TakesDeliveries(SessionId session, size_t bytes) override;
  void Confirm(SessionId session, ConfirmRun run) override;
  void Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) override;
  void EndSession(SessionId session, absl::Status why) override;
  void Answer(CallId call, absl::StatusOr<Reply> reply) override;

 private:
  struct Route {
    std::shared_ptr<SessionRecipient> recipient;
    bool touched = false;  // is in touched_
  };

  // The recipient, marked for Flush; nullptr for a session that is gone.
  SessionRecipient* Touch(SessionId session);

  // Routes are held by pointer so that `last_` survives a rehash.
  absl::flat_hash_map<SessionId, std::unique_ptr<Route>> sessions_;
  absl::flat_hash_map<CallId, std::shared_ptr<CallRecipient>> calls_;
  std::vector<SessionId> touched_;
  // Outputs come in runs for one session: the last one looked up.
  SessionId last_session_;
  Route* last_ = nullptr;
};

}  // namespace baton
