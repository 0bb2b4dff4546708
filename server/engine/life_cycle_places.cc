// Where messages are: in memory, in a window, leased, or only in their rows.
#include "base/check.h"
#include "server/engine/arrow_cost.h"
#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"

namespace baton {

Message& LifeCycle::MakeResident(std::unique_ptr<Message> owned) {
  Message& message = *owned;
  const size_t footprint = message.footprint();
  message.queue->resident_bytes += footprint;
  state_.resident_bytes += footprint;
  const bool inserted = state_.residents.emplace(message.id.seq, std::move(owned)).second;
  BATON_CHECK(inserted) << message.id.seq;
  return message;
}

void LifeCycle::EraseResident(Message& message) {
  BATON_CHECK(message.state == Message::State::kSpilled);
  const size_t footprint = message.footprint();
  message.queue->resident_bytes -= footprint;
  state_.resident_bytes -= footprint;
  state_.residents.erase(Seq(message.id.seq));
}

void LifeCycle::EnterReady(Message& message) {
  Queue& queue = *message.queue;
  queue.ready.Insert(message.position(), &message);
  message.state = Message::State::kReady;
  if (message.home == Message::Home::kReadyRow) {
    ++queue.resident_ready_rows;
  } else {
    queue.due_homes.insert(message.delayed_position());
    queue.due_messages.emplace(message.position(), &message);
  }
  state_.FileForEviction(queue);
  state_.WantDispatch(queue);
}

void LifeCycle::EnterDelayed(Message& message) {
  message.queue->delayed.Insert(message.delayed_position(), &message);
  message.state = Message::State::kDelayed;
  state_.FileForEviction(*message.queue);
}

void LifeCycle::TakeOut(Message& message) {
  Queue& queue = *message.queue;
  switch (message.state) {
    case Message::State::kSpilled:
      return;
    case Message::State::kDelayed:
      BATON_CHECK(queue.delayed.Erase(message.delayed_position()));
      break;
    case Message::State::kReady:
      BATON_CHECK(queue.ready.Erase(message.position()));
      break;
    case Message::State::kLeased:
      BATON_CHECK_EQ(queue.leased.erase(message.position()), 1u);
      BATON_CHECK_EQ(state_.lease_ends.erase({message.lease.end, message.lease.number}), 1u);
      message.lease = {};
      state_.leased_bytes -= message.footprint();
      state_.RoomFreed();
      state_.WantDispatch(queue);  // in_flight_max may allow another one
      break;
  }
  if (message.state != Message::State::kDelayed) {
    if (message.home == Message::Home::kReadyRow) {
      --queue.resident_ready_rows;
    } else {
      queue.due_homes.erase(message.delayed_position());
      queue.due_messages.erase(message.position());
    }
  }
  message.state = Message::State::kSpilled;
  state_.FileForEviction(queue);
}

void LifeCycle::PlaceReady(Message& message) {
  Queue& queue = *message.queue;
  queue.victims_from = std::min(queue.victims_from, message.position());
  state_.KeepLimits(queue);
  const bool resident = queue.ready.Covers(message.position());
  if (message.home == Message::Home::kDelayedRow) {
    // It may keep its delayed row only where no read of delayed rows comes past it again.
    if (!resident || !queue.delayed.Covers(message.delayed_position())) MoveToReadyRow(message);
  } else if (!resident) {
    queue.ready.NotePut(message.position());
  }
  if (resident) {
    EnterReady(message);
    return;
  }
  state_.WantDispatch(queue);
  EraseResident(message);
}

void LifeCycle::MoveToReadyRow(Message& message) {
  rows_.Remove(message);
  if (message.hint > message.deadline()) rows_.MoveHint(message);  // TtlWalk may have been there
  message.home = Message::Home::kReadyRow;
  rows_.Put(message);
}

void LifeCycle::MoveHint(Message& message) {
  state_.budget.Spend();
  Changed(message);
  rows_.MoveHint(message);
}

void LifeCycle::KeepHint(Message& message, Instant now) {
  const Instant deadline = message.deadline();
  if (message.hint > deadline || (message.hint <= now && deadline > now)) rows_.MoveHint(message);
}

void LifeCycle::PlaceDelayed(Message& message, Instant due, Instant now) {
  MoveToDelayedRow(message, due, state_.numbers.Upcoming());
  Note(Arrow::kDelayed, message, now);
  KeepDelayed(message);
}

void LifeCycle::MoveToDelayedRow(Message& message, Instant due, Seq stamp) {
  rows_.Remove(message);
  if (message.hint > message.deadline()) rows_.MoveHint(message);  // likewise
  message.home = Message::Home::kDelayedRow;
  message.due = due;
  message.due_stamp = stamp;
  rows_.Put(message);
}

void LifeCycle::KeepDelayed(Message& message) {
  if (message.queue->delayed.Covers(message.delayed_position())) {
    EnterDelayed(message);
  } else {
    EraseResident(message);
  }
}

void LifeCycle::Spill(Message& message) {
  const bool was_delayed = message.state == Message::State::kDelayed;
  TakeOut(message);
  if (!was_delayed && message.home == Message::Home::kDelayedRow) MoveToReadyRow(message);
  Changed(message);
  EraseResident(message);
}

void LifeCycle::Changed(const Message& message) { locator_->Touch(message.id.seq); }

void LifeCycle::LeaveContentIfScarce(Message& message) {
  BATON_CHECK(message.state == Message::State::kLeased);
  const bool is_worth_it = message.footprint() >= 2 * Message::FootprintOfEmpty();
  if (state_.leased_bytes <= state_.options.leased_bytes_max || !is_worth_it) return;
  Queue& queue = *message.queue;
  if (!state_.budget.Allows(queue.number, CostOfSpill(message))) return;
  if (message.home == Message::Home::kDelayedRow) {
    queue.due_homes.erase(message.delayed_position());
    queue.due_messages.erase(message.position());
    MoveToReadyRow(message);
    ++queue.resident_ready_rows;
    Changed(message);
  }
  const size_t before = message.footprint();
  message.left_in_row = message.bytes();
  std::string().swap(message.headers);
  std::string().swap(message.body);
  Resize(message, before);
}

void LifeCycle::TakeContent(Message& message, Message& row) {
  BATON_CHECK(message.state == Message::State::kLeased && message.bytes() == row.bytes());
  const size_t before = message.footprint();
  message.headers.swap(row.headers);
  message.body.swap(row.body);
  message.left_in_row = 0;
  Resize(message, before);
}

void LifeCycle::Resize(Message& message, size_t footprint_before) {
  const size_t more = message.footprint() - footprint_before;  // or less, modulo
  message.queue->resident_bytes += more;
  state_.resident_bytes += more;
  state_.leased_bytes += more;
}

}  // namespace baton
