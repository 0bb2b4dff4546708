#include "server/engine/broker_rows.h"

#include <algorithm>

#include "storage/format/clock_row.h"
#include "storage/format/epoch_row.h"

namespace baton {
namespace {

constexpr Duration kClockRowEvery = std::chrono::seconds(10);
constexpr Duration kIdleCheckEvery = std::chrono::hours(1);  // of producers

}  // namespace

void BrokerRows::Tick(Instant now) {
  if (now >= next_idle_check_) {
    next_idle_check_ = now + kIdleCheckEvery;
    if (state_.producers.ForgetIdle(now, state_.turn.commit())) state_.turn.Require(Promise::kWritten);
  }
  RaiseEpoch();
}

// Long before it is needed (SeqNumbers).
void BrokerRows::RaiseEpoch() {
  if (!state_.numbers.WantsEpoch()) return;
  state_.turn.commit().Put(kEpochKey, EncodeEpoch(state_.numbers.TakeWish()));
  state_.turn.Require(Promise::kSynced);
  state_.confirmations.When(state_.turn.latest(), Promise::kSynced, [this] { state_.numbers.OnRaised(); });
}

void BrokerRows::Write(Instant now) {
  while (Queue* queue = state_.dirty_ledgers.Take()) WriteLedger(*queue, now);
  if (state_.producers.dirty()) state_.producers.AppendTo(state_.turn.commit());
  // With what is written anyhow, now and then.
  if (!state_.options.clock_row || !state_.turn.dirty() || now < next_clock_row_) return;
  next_clock_row_ = now + kClockRowEvery;
  state_.turn.commit().Put(kClockKey, state_.options.clock_row());
}

void BrokerRows::WriteLedger(Queue& queue, Instant now) {
  LedgerRecord& ledger = queue.ledger;
  ledger.head = queue.ready.boundary();
  if (!queue.ready.empty()) ledger.head = std::min(ledger.head, queue.ready.begin()->first);
  if (!queue.leased.empty()) ledger.head = std::min(ledger.head, queue.leased.begin()->first);
  ledger.next_due = queue.delayed.boundary().due;
  if (!queue.delayed.empty()) ledger.next_due = std::min(ledger.next_due, queue.delayed.begin()->first.due);
  if (!queue.due_homes.empty()) ledger.next_due = std::min(ledger.next_due, queue.due_homes.begin()->due);
  Commit& commit = state_.turn.commit();
  const auto births = ledger.births.TakeRow();
  if (births.has_value() && births->empty()) commit.Delete(BirthsKey(queue.number));
  if (births.has_value() && !births->empty()) commit.Put(BirthsKey(queue.number), EncodeBirths(*births));
  commit.Put(LedgerKey(queue.number), EncodeLedger(ledger));
  residency_.Schedule(queue, now);
}

}  // namespace baton
