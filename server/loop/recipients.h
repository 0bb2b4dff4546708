// Who hears of what became of a command: a session for its life, a call for its one answer. Implemented by
// carriers.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "server/engine/outputs.h"

namespace baton {

// The engine's outputs for one session (server/engine/outputs.h tells what each means).
// THREADS: the engine's thread. Must not block, must not call the engine.
class SessionRecipient {
 public:
  virtual ~SessionRecipient() = default;
  virtual void SessionOpened(uint64_t accepted_sequence) = 0;
  virtual void Subscribed(SubscriptionId subscription, absl::StatusOr<Duration> lease) = 0;
  virtual void SubscriptionEnded(SubscriptionId subscription, const absl::Status& why) = 0;
  virtual void Deliver(const DeliveryView& delivery) = 0;
  virtual bool TakesDeliveries(size_t bytes) = 0;
  virtual void Confirm(ConfirmRun run) = 0;
  virtual void Settled(uint64_t through, std::vector<SettleFailure> failures) = 0;
  virtual void EndSession(const absl::Status& why) = 0;
  // After a turn that said anything: wakes whoever carries it to the client. Once a turn at most.
  virtual void Flush() = 0;
};

// One answer for one call, exactly once. THREADS: the engine's thread. Must not block.
class CallRecipient {
 public:
  virtual ~CallRecipient() = default;
  virtual void Answer(absl::StatusOr<Reply> reply) = 0;
};

// Shared, because the engine's thread may still be talking to a session whose carrier has just let go of it.
using Recipient =
    std::variant<std::monostate, std::shared_ptr<SessionRecipient>, std::shared_ptr<CallRecipient>>;

}  // namespace baton
