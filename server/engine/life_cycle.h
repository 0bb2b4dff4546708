// One function per arrow of a message's life (the diagram is in message.h). Only these functions move
// messages: between rows, between the places in memory, in and out of memory; each keeps rows, ledger and
// memory in step.
//
// OWNERSHIP: a Message& given here is owned by BrokerState::residents. Unless said otherwise it may be gone
// from memory when the function returns (acked, dropped, parked, or placed where only the disk holds it): do
// not touch it again. THREADS: the engine's. `now` is the time of the decision.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "server/engine/broker_state.h"
#include "server/engine/message_rows.h"
#include "server/engine/reason_headers.h"

namespace baton {

class Locator;

enum class ReturnCause { kNack, kLeaseEnded, kConsumerGone };

class LifeCycle {
 public:
  explicit LifeCycle(BrokerState* state) : state_(*state), rows_(state) {}
  // Told of every change of a message, so that a read of it that is in flight is not believed.
  void set_locator(Locator* locator) { locator_ = locator; }

  // Into `queue`: ready, or delayed until `now` + delay.
  MessageId Publish(Queue& queue, NewMessage message, ProducerId producer, uint64_t sequence, Instant now);

  // delayed -> ready.
  void Wake(Message& message, Instant now);
  // A clock was set since its row was written: from now on that says when it is due. REQUIRES: delayed, or a
  // passing view.
  void CorrectDue(Message& message);
  // ready -> leased. Stays in memory.
  void Lease(Message& message, const Message::Lease& lease, Instant now);
  // Changes when the lease ends. Stays in memory.
  void Extend(Message& message, Instant end);
  // While leases hold more than their share of memory, the row alone keeps headers and body of a large
  // message: whatever writes or shows them reads them before (Locator). A row that is still a delayed one is
  // written anew (CostOfSpill). Stays in memory. REQUIRES: leased.
  void LeaveContentIfScarce(Message& message);
  // … and has them again, from its row. Stays in memory.
  void TakeContent(Message& message, Message& row);
  // Gone for good. The content may be left in the row, here and where its end is to be dropped or purged.
  void Ack(Message& message, Instant now);
  // leased -> ready, in its place.
  void Release(Message& message, Instant now);
  // An attempt is counted; then ready in its place, or delayed, or on its way out when attempts are used up.
  // `delay` absent: the queue's backoff.
  void Return(Message& message, ReturnCause cause, std::optional<Duration> delay, std::string_view reason,
              Instant now);

  // Its lease ended before, which counted the attempt: what the nack says of it still holds. `delay` absent:
  // it waits as the end of the lease made it wait. REQUIRES: attempts > 0; not leased, not parked.
  void ReturnLate(Message& message, std::optional<Duration> delay, std::string_view reason, Instant now);

  // An attempt is counted; then to the dead-letter queue, or parked.
  void Reject(Message& message, std::string_view reason, Instant now);

  // Its time is over: what the queue's policy says. REQUIRES: not leased.
  void Expire(Message& message, Instant now);
  // Without a dead-letter queue, or after too many hops, dead letters are parked.
  void Dispose(Message& message, Disposal disposal, std::string_view reason, Instant now);
  // An earlier version parked it with a deadline: that ends, the message stays.
  void KeepParked(Message& message, Instant now);
  // It is to come up when it expires, no sooner and no later.
  void MoveHint(Message& message);
  // Every message of the queue, in any state. Returns how many.
  uint64_t Purge(Queue& queue);

  // One of them, of a purge that is done in shares.
  void PurgeOne(Message& message) {
    state_.budget.Spend();
    ++message.queue->counters.purged;
    Remove(message);
  }

  // A message that was read enters memory (state kSpilled); the caller places it at once.
  Message& MakeResident(std::unique_ptr<Message> message);
  // … into the window it was read for. REQUIRES: below the window's boundary; kReadyRow / kDelayedRow.
  void EnterReady(Message& message);
  void EnterDelayed(Message& message);
  // The window has given it up: it goes from memory, its row stays (as a ready row, if it was due).
  void Spill(Message& message);
  // A passing view (state kSpilled) is over.
  void EraseResident(Message& message);

 private:
  void DeadLetter(Message& message, Queue& target, std::string_view reason, Instant now);
  void Park(Message& message, std::string_view reason, Instant now);
  void PutAside(Message& message, std::string_view reason);
  void Drop(Message& message, Instant now);
  void Remove(Message& message);

  // Out of the window or the leased ones, into state kSpilled; still resident.
  void TakeOut(Message& message);
  // From state kSpilled into the ready window, or out of memory.
  void PlaceReady(Message& message);
  void MoveToReadyRow(Message& message);
  void Resize(Message& message, size_t footprint_before);
  // Given back: what came up during its lease does not come again.
  void KeepHint(Message& message, Instant now);
  void PlaceDelayed(Message& message, Instant due, Instant now);
  void MoveToDelayedRow(Message& message, Instant due, Seq stamp);
  // From state kSpilled into the delayed window, or out of memory.
  void KeepDelayed(Message& message);

  void Changed(const Message& message);
  void Note(Arrow arrow, const Message& message, Instant now) {
    state_.budget.Spend();
    if (state_.observer != nullptr) state_.observer->OnArrow(arrow, message, now);
  }

  BrokerState& state_;
  MessageRows rows_;
  Locator* locator_ = nullptr;
};

}  // namespace baton
