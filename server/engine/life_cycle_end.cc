// How a message leaves its queue other than by an ack: it expires, is dropped, moved, parked, purged.
#include "base/check.h"
#include "server/engine/life_cycle.h"

namespace baton {

void LifeCycle::Expire(Message& message, Instant now) {
  BATON_CHECK(message.state != Message::State::kLeased && message.deadline() <= now);
  if (message.queue->config.expired == Disposal::kDrop) ++message.queue->counters.expired;
  Note(Arrow::kExpired, message, now);
  Dispose(message, message.queue->config.expired, kReasonExpired, now);
}

void LifeCycle::Dispose(Message& message, Disposal disposal, std::string_view reason, Instant now) {
  switch (disposal) {
    case Disposal::kDrop:
      Drop(message, now);
      return;
    case Disposal::kPark:
      Park(message, reason, now);
      return;
    case Disposal::kDeadLetter:
      break;
  }
  Queue* target = state_.FindQueue(message.queue->config.dead_letter_queue);
  // One whose definition a crash could lose is no target yet.
  const bool is_new = target != nullptr && target->is_memory() && !target->stored;
  if (target == nullptr || is_new || target == message.queue || message.hops >= kHopsMax) {
    Park(message, reason, now);
  } else {
    DeadLetter(message, *target, reason, now);
  }
}

void LifeCycle::DeadLetter(Message& message, Queue& target, std::string_view reason, Instant now) {
  Queue& source = *message.queue;
  Changed(message);
  TakeOut(message);
  rows_.Leave(message);
  ++source.counters.dead_lettered;

  const size_t before = message.footprint();
  AppendDeadLetterHeaders(message.headers, {.queue = source.name,
                                            .reason = reason,
                                            .attempts = message.attempts,
                                            .last_reason = message.last_reason,
                                            .when = now});
  const size_t after = message.footprint();
  source.resident_bytes -= before;
  target.resident_bytes += after;
  state_.resident_bytes += after - before;

  message.queue = &target;
  ++target.counters.arrived;
  message.seq = state_.numbers.Next();
  ++message.hops;
  message.home = Message::Home::kReadyRow;
  message.arrived = now;
  message.own_deadline = kNever;
  message.hint = message.deadline();
  message.hint_was_moved = false;
  message.attempts = 0;
  message.last_reason.clear();
  rows_.Put(message);
  rows_.Arrive(message);
  Note(Arrow::kDeadLettered, message, now);
  state_.WarnOfOverflow(target, now);
  PlaceReady(message);
}

void LifeCycle::Park(Message& message, std::string_view given_up, Instant now) {
  const std::string reason = ParkedReason(given_up, message.last_reason);
  Changed(message);
  TakeOut(message);
  PutAside(message, reason);
  ++message.queue->counters.parked;
  Note(Arrow::kParked, message, now);
  EraseResident(message);
}

void LifeCycle::KeepParked(Message& message, Instant now) {
  BATON_CHECK(message.home == Message::Home::kParkedRow);
  Changed(message);
  PutAside(message, std::string(message.last_reason));
  Note(Arrow::kParked, message, now);
}

// It waits for a person now, however long that takes.
void LifeCycle::PutAside(Message& message, std::string_view reason) {
  rows_.Remove(message);
  rows_.EndTtl(message);
  message.home = Message::Home::kParkedRow;
  rows_.Put(message, reason);
}

uint64_t LifeCycle::Purge(Queue& queue) {
  const uint64_t messages = queue.stored_count() + queue.ledger.parked.rows;
  std::vector<Message*> resident;
  for (const auto& [position, message] : queue.ready) resident.push_back(message);
  for (const auto& [position, message] : queue.leased) resident.push_back(message);
  for (const auto& [position, message] : queue.delayed) resident.push_back(message);
  for (Message* message : resident) {
    Changed(*message);
    TakeOut(*message);
    rows_.Forget(*message);
    EraseResident(*message);
  }
  rows_.RemoveAll(queue);
  queue.ready.StartAt(kReadyEnd);
  queue.delayed.StartAt(kDelayedEnd);
  queue.admitted_over = queue.admitted_over_bytes = 0;
  queue.counters.purged += messages;
  return messages;
}

}  // namespace baton
