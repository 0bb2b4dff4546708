#include "server/loop/output_router.h"

#include <utility>

#include "base/check.h"

namespace baton {

void OutputRouter::AddSession(SessionId session, std::shared_ptr<SessionRecipient> recipient) {
  auto route = std::make_unique<Route>();
  route->recipient = std::move(recipient);
  BATON_CHECK(sessions_.emplace(session, std::move(route)).second)
      << "session " << session << " is open already";
}

void OutputRouter::AddCall(CallId call, std::shared_ptr<CallRecipient> recipient) {
  BATON_CHECK(calls_.emplace(call, std::move(recipient)).second) << "call " << call << " waits already";
}

void OutputRouter::RemoveSession(SessionId session) {
  sessions_.erase(session);
  last_session_ = SessionId();
  last_ = nullptr;
}

SessionRecipient* OutputRouter::Touch(SessionId session) {
  if (session != last_session_ || last_ == nullptr) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return nullptr;
    last_session_ = session;
    last_ = found->second.get();
  }
  if (!last_->touched) {
    last_->touched = true;
    touched_.push_back(session);
  }
  return last_->recipient.get();
}

void OutputRouter::Flush() {
  for (const SessionId session : touched_) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) continue;  // closed in this turn
    found->second->touched = false;
    found->second->recipient->Flush();
  }
  touched_.clear();
}

void OutputRouter::SessionOpened(SessionId session, uint64_t accepted_sequence) {
  if (auto* recipient = Touch(session)) recipient->SessionOpened(accepted_sequence);
}

void OutputRouter::Subscribed(SessionId session, SubscriptionId subscription,
                              absl::StatusOr<Duration> lease) {
  if (auto* recipient = Touch(session)) recipient->Subscribed(subscription, std::move(lease));
}

void OutputRouter::SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) {
  if (auto* recipient = Touch(session)) recipient->SubscriptionEnded(subscription, why);
}

void OutputRouter::Deliver(SessionId session, const DeliveryView& delivery) {
  if (auto* recipient = Touch(session)) recipient->Deliver(delivery);
}

bool OutputRouter::TakesDeliveries(SessionId session, size_t bytes) {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second->recipient->TakesDeliveries(bytes);
}

void OutputRouter::Confirm(SessionId session, ConfirmRun run) {
  if (auto* recipient = Touch(session)) recipient->Confirm(std::move(run));
}

void OutputRouter::Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) {
  if (auto* recipient = Touch(session)) recipient->Settled(through, std::move(failures));
}

void OutputRouter::EndSession(SessionId session, absl::Status why) {
  if (auto* recipient = Touch(session)) recipient->EndSession(why);
}

void OutputRouter::Answer(CallId call, absl::StatusOr<Reply> reply) {
  if (!call) return;  // nobody asked to be told
  const auto found = calls_.find(call);
  BATON_CHECK(found != calls_.end()) << "call " << call << " is answered twice, or was never made";
  const std::shared_ptr<CallRecipient> recipient = std::move(found->second);
  calls_.erase(found);
  recipient->Answer(std::move(reply));
}

}  // namespace baton
