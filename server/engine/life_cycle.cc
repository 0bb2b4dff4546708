#include "server/engine/life_cycle.h"

#include "base/check.h"
#include "server/engine/locator.h"

namespace baton {

MessageId LifeCycle::Publish(Queue& queue, NewMessage fresh, ProducerId producer, uint64_t sequence,
                             Instant now) {
  auto message = std::make_unique<Message>();
  message->queue = &queue;
  message->seq = state_.numbers.Next();
  message->priority = fresh.priority;
  message->born = message->arrived = now;
  if (fresh.ttl > Duration(0)) message->own_deadline = now + fresh.ttl;
  message->hint = message->deadline();
  message->producer = producer;
  message->sequence = sequence;
  message->headers = std::move(fresh.headers);
  message->body = std::move(fresh.body);
  MessageId& id = message->id;
  id = {.birth = MessageId::Birth::kReady,
        .lane = kMainLane,
        .queue = queue.number,
        .seq = message->seq,
        .place = message->rank()};
  if (fresh.delay > Duration(0)) {
    message->home = Message::Home::kDelayedRow;
    message->due = now + fresh.delay;
    message->due_stamp = message->seq;
    id.birth = MessageId::Birth::kDelayed;
    id.place = static_cast<uint64_t>(ToMicros(message->due));
  }
  rows_.Put(*message);
  rows_.Arrive(*message);
  ++queue.counters.published;
  Note(Arrow::kPublished, *message, now);

  const MessageId published = id;
  if (message->home == Message::Home::kDelayedRow) {
    if (queue.delayed.Covers(message->delayed_position())) EnterDelayed(MakeResident(std::move(message)));
  } else if (queue.ready.Covers(message->position())) {
    EnterReady(MakeResident(std::move(message)));
  } else {
    state_.WantDispatch(queue);
  }
  return published;
}

void LifeCycle::CorrectDue(Message& message) {
  state_.budget.Spend();
  TakeOut(message);
  Changed(message);
  // What an earlier life has given is taken as it is from now on.
  const bool is_ours = EpochOf(message.due_stamp) >= state_.options.epoch;
  MoveToDelayedRow(message, message.due_meant(), is_ours ? state_.numbers.Upcoming() : Seq());
  KeepDelayed(message);
}

void LifeCycle::Wake(Message& message, Instant now) {
  BATON_CHECK(message.state == Message::State::kDelayed && message.due <= now);
  Note(Arrow::kWoken, message, now);
  TakeOut(message);
  Changed(message);
  PlaceReady(message);
}

void LifeCycle::Lease(Message& message, const Message::Lease& lease, Instant now) {
  BATON_CHECK(message.state == Message::State::kReady);
  Queue& queue = *message.queue;
  BATON_CHECK(queue.ready.Erase(message.position()));
  state_.FileForEviction(queue);
  queue.leased.emplace(message.position(), &message);
  state_.lease_ends.emplace(std::pair(lease.end, lease.number), &message);
  message.lease = lease;
  state_.leased_bytes += message.footprint();
  message.last_delivery = lease.number;
  message.state = Message::State::kLeased;
  ++queue.counters.delivered;
  if (message.attempts == 0 && message.id.birth == MessageId::Birth::kReady && message.hops == 0) {
    state_.publish_to_deliver.Add(now - message.born);
  }
  Changed(message);
  Note(Arrow::kDelivered, message, now);
}

void LifeCycle::Extend(Message& message, Instant end) {
  BATON_CHECK(message.state == Message::State::kLeased);
  BATON_CHECK_EQ(state_.lease_ends.erase({message.lease.end, message.lease.number}), 1u);
  message.lease.end = end;
  state_.lease_ends.emplace(std::pair(end, message.lease.number), &message);
}

void LifeCycle::Remove(Message& message) {
  Changed(message);
  TakeOut(message);
  rows_.Leave(message);
  EraseResident(message);
}

void LifeCycle::Ack(Message& message, Instant now) {
  ++message.queue->counters.acked;
  Note(Arrow::kAcked, message, now);
  Remove(message);
}

void LifeCycle::Drop(Message& message, Instant now) {
  Note(Arrow::kDropped, message, now);
  Remove(message);
}

void LifeCycle::Release(Message& message, Instant now) {
  BATON_CHECK(message.state == Message::State::kLeased);
  Note(Arrow::kReleased, message, now);
  TakeOut(message);
  Changed(message);
  if (message.deadline() <= now) {
    Expire(message, now);
  } else {
    KeepHint(message, now);
    PlaceReady(message);
  }
}

void LifeCycle::Return(Message& message, ReturnCause cause, std::optional<Duration> delay,
                       std::string_view reason, Instant now) {
  Queue& queue = *message.queue;
  TakeOut(message);
  Changed(message);
  ++message.attempts;
  ++queue.counters.returned;
  message.last_reason = reason;
  rows_.PutAttempts(message);
  Note(Arrow::kReturned, message, now);
  if (message.deadline() <= now) {
    Expire(message, now);
    return;
  }
  if (queue.config.attempts_max != 0 && message.attempts >= queue.config.attempts_max) {
    if (queue.config.exhausted == Disposal::kDrop) ++queue.counters.dropped;
    const std::string_view why = cause == ReturnCause::kNack ? "attempts used up; last: nack"
                                 : cause == ReturnCause::kLeaseEnded
                                     ? "attempts used up; last: lease ended"
                                     : "attempts used up; last: consumer gone";
    Dispose(message, queue.config.exhausted, why, now);
    return;
  }
  KeepHint(message, now);
  const Duration wait = delay.value_or(BackoffAfter(message.attempts, queue.config));
  if (wait > Duration(0)) {
    PlaceDelayed(message, now + wait, now);
  } else {
    PlaceReady(message);
  }
}

void LifeCycle::ReturnLate(Message& message, std::optional<Duration> delay, std::string_view reason,
                           Instant now) {
  Changed(message);
  if (!reason.empty()) {
    message.last_reason = reason;
    rows_.RewriteAttempts(message);
  }
  if (!delay.has_value()) return;
  TakeOut(message);
  Note(Arrow::kReturnedLate, message, now);
  if (*delay > Duration(0)) {
    PlaceDelayed(message, now + *delay, now);
    return;
  }
  if (message.home == Message::Home::kDelayedRow && message.due_meant() > now) MoveToReadyRow(message);
  PlaceReady(message);
}

void LifeCycle::Reject(Message& message, std::string_view reason, Instant now) {
  TakeOut(message);
  Changed(message);
  ++message.attempts;
  ++message.queue->counters.returned;
  message.last_reason = reason;
  rows_.PutAttempts(message);
  Note(Arrow::kReturned, message, now);
  Dispose(message, Disposal::kDeadLetter, kReasonRejected, now);
}

}  // namespace baton
