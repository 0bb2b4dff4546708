#include "server/engine/returner.h"

#include <map>
#include <utility>

namespace baton {

void Returner::Tick(Instant now) {
  state_.budget.BeginPhase();
  while (!state_.lease_ends.empty() && state_.lease_ends.begin()->first.first <= now &&
         state_.budget.HasArrows()) {
    Message& message = *state_.lease_ends.begin()->second;
    const QueueId queue = message.queue->number;
    if (!message.has_content()) {
      ReadThenReturn(message, ReturnCause::kLeaseEnded, "lease ended", now);
    } else if (state_.budget.Allows(queue, Cost::kRewrite)) {
      life_cycle_.Return(message, ReturnCause::kLeaseEnded, std::nullopt, "lease ended", now);
    } else if (!state_.budget.WillAllow(queue, Cost::kRewrite)) {
      life_cycle_.Extend(message, now + kLeaseProlonged);  // there is no room to write that it was returned
      state_.budget.Spend();
    } else {
      break;  // this turn's share is used up: the next one comes at once
    }
  }
}

Instant Returner::NextDue(Instant) const {
  return state_.lease_ends.empty() ? kNever : state_.lease_ends.begin()->first.first;
}

void Returner::OnClockMoved(Duration by) {
  for (auto& [key, message] : std::exchange(state_.lease_ends, {})) {
    message->lease.end += by;
    state_.lease_ends.emplace(std::pair(message->lease.end, key.second), message);
  }
}

void Returner::ReturnAll(Session& session, Instant now) {
  std::map<QueueId, std::vector<Unsettled>> waiting;
  for (const auto& [tag, delivery] : session.unsettled) {
    if (const QueueId queue = ReturnOne(delivery, now)) waiting[queue].push_back(delivery);
  }
  state_.unsettled -= session.unsettled.size();
  session.unsettled.clear();
  state_.RoomFreed();
  for (auto& [queue, deliveries] : waiting) ReturnLater(queue, std::move(deliveries));
}

void Returner::ReturnLater(QueueId queue, std::vector<Unsettled> deliveries) {
  state_.budget.Defer(
      Asker::Of(queue), queue, Cost::kRewrite,
      [this, queue, deliveries = std::move(deliveries), next = size_t{0}](Instant now) mutable {
        for (; next < deliveries.size(); ++next) {
          const QueueId waits_for = ReturnOne(deliveries[next], now);
          if (waits_for == queue) return false;
          if (waits_for) ReturnLater(waits_for, {deliveries[next]});
        }
        return true;
      });
}

// The queue for which it has to wait, if it has to.
QueueId Returner::ReturnOne(const Unsettled& delivery, Instant now) {
  Message* message = state_.FindResident(delivery.id.seq);
  if (message == nullptr || message->state != Message::State::kLeased ||
      message->lease.number != delivery.number)
    return {};
  const QueueId queue = message->queue->number;
  if (!state_.budget.HasArrows() || !state_.budget.Allows(queue, Cost::kRewrite)) return queue;
  if (!message->has_content()) {
    ReadThenReturn(*message, ReturnCause::kConsumerGone, "consumer gone", now);
    return {};
  }
  life_cycle_.Return(*message, ReturnCause::kConsumerGone, std::nullopt, "consumer gone", now);
  return {};
}

// Its lease goes on meanwhile. What goes wrong is tried again when that ends.
void Returner::ReadThenReturn(Message& message, ReturnCause cause, std::string_view reason, Instant now) {
  state_.budget.Spend();
  life_cycle_.Extend(message, now + kLeaseProlonged);
  if (!locator_.HasRoomToSpare()) return;
  const auto decide = [this, number = message.lease.number, cause, reason](Message* found, Instant at) {
    if (found == nullptr || found->state != Message::State::kLeased || found->lease.number != number) return;
    if (!state_.budget.HasArrows() || !state_.budget.Allows(found->queue->number, Cost::kRewrite)) return;
    life_cycle_.Return(*found, cause, std::nullopt, reason, at);
  };
  locator_.Find(
      MessageId(message.id), now, decide, [](const absl::Status&) {}, Locator::Need::kContent);
}

}  // namespace baton
