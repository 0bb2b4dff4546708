#include "server/engine/engine.h"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "server/engine/broker_state.h"
#include "server/engine/browser.h"
#include "server/engine/dispatcher.h"
#include "server/engine/expirer.h"
#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/locator_sweep.h"
#include "server/engine/overflow.h"
#include "server/engine/publisher.h"
#include "server/engine/purger.h"
#include "server/engine/queue_admin.h"
#include "server/engine/residency.h"
#include "server/engine/returner.h"
#include "server/engine/session_table.h"
#include "server/engine/settler.h"
#include "server/engine/ttl_walk.h"
#include "storage/format/clock_row.h"
#include "storage/format/epoch_row.h"

namespace baton {
namespace {

constexpr Duration kClockRowEvery = std::chrono::seconds(10);

}  // namespace

struct Engine::Parts {
  Parts(const EngineOptions& options, Outputs* outputs, LifeCycleObserver* observer)
      : state(options, outputs, observer),
        reads(&state),
        life_cycle(&state),
        locator(&state, &life_cycle, &reads),
        residency(&state, &life_cycle, &reads),
        expirer(&state, &life_cycle, &locator, &reads),
        overflow(&state, &life_cycle, &locator, &reads),
        dispatcher(&state, &life_cycle, &residency),
        returner(&state, &life_cycle, &locator),
        settler(&state, &life_cycle, &locator),
        publisher(&state, &life_cycle, &overflow, &settler),
        sweep(&state, &reads),
        ttl_walk(&state, &life_cycle, &locator, &reads),
        purger(&state, &life_cycle, &sweep, &reads),
        admin(&state, &dispatcher, &purger, &ttl_walk),
        browser(&state, &life_cycle, &locator, &reads),
        session_table(&state, &dispatcher, &returner) {
    life_cycle.set_locator(&locator);
  }

  // Each command to the part that knows it.
  void Route(OpenSession& command, Instant now) { session_table.Handle(command, now); }
  void Route(CloseSession& command, Instant now) { session_table.Handle(command, now); }
  void Route(GetEngineStatus& command, Instant) { session_table.Handle(command); }
  void Route(Subscribe& command, Instant) { dispatcher.Handle(command); }
  void Route(Unsubscribe& command, Instant) { dispatcher.Handle(command); }
  void Route(SetCredit& command, Instant) { dispatcher.Handle(command); }
  void Route(ResumeDeliveries&, Instant) { dispatcher.Resume(); }
  void Route(Receive& command, Instant now) { dispatcher.Handle(command, now); }
  void Route(CancelCall& command, Instant) { dispatcher.Handle(command); }
  void Route(Publish& command, Instant now) { publisher.Handle(std::move(command), now); }
  void Route(SettleTags& command, Instant now) { publisher.Handle(std::move(command), now); }
  void Route(SettleTokens& command, Instant now) { settler.Handle(command, now); }
  void Route(CreateQueue& command, Instant now) { admin.Handle(command, now); }
  void Route(UpdateQueue& command, Instant now) { admin.Handle(command, now); }
  void Route(DeleteQueue& command, Instant) { admin.Handle(command); }
  void Route(PurgeQueue& command, Instant) { admin.Handle(command); }
  void Route(GetQueue& command, Instant now) { admin.Handle(command, now); }
  void Route(ListQueues& command, Instant now) { admin.Handle(command, now); }
  void Route(ListMessages& command, Instant now) { browser.Handle(std::move(command), now); }
  void Route(GetMessage& command, Instant now) { browser.Handle(command, now); }
  void Route(DeleteMessage& command, Instant now) { browser.Handle(command, now); }

  void ForgetIdleProducers(Instant now);
  void WriteLedgers(Instant now);
  void RaiseEpoch();
  void WriteClock(Instant now);
  Instant NextDue(Instant now) const;

  BrokerState state;
  Reads reads;
  LifeCycle life_cycle;
  Locator locator;
  Residency residency;
  Expirer expirer;
  Overflow overflow;
  Dispatcher dispatcher;
  Returner returner;
  Settler settler;
  Publisher publisher;
  LocatorSweep sweep;
  TtlWalk ttl_walk;
  Purger purger;
  QueueAdmin admin;
  Browser browser;
  SessionTable session_table;
  Instant next_idle_check;
  Instant next_clock_row;
  Seq first_stamp;  // of this life
};

Engine::Engine(const EngineOptions& options, Outputs* outputs, LifeCycleObserver* observer)
    : parts_(std::make_unique<Parts>(options, outputs, observer)) {}
Engine::~Engine() = default;

absl::Status Engine::Load(const std::function<absl::Status(RowKind, const Visit&)>& scan) {
  QueueAdmin& admin = parts_->admin;
  Producers& producers = parts_->state.producers;
  absl::Status status = scan(RowKind::kQueue, [&](auto key, auto value) { return admin.Load(key, value); });
  // Before the ledgers, which refer to them.
  status.Update(scan(RowKind::kBirths, [&](auto key, auto value) { return admin.LoadBirths(key, value); }));
  status.Update(scan(RowKind::kLedger, [&](auto key, auto value) { return admin.LoadLedger(key, value); }));
  for (const RowKind kind : {RowKind::kProducer, RowKind::kMemoryProducer})
    status.Update(scan(kind, [&](auto key, auto value) { return producers.Load(key, value); }));
  status.Update(scan(RowKind::kMeta, [&](auto key, auto value) {
    return key == kClockStepsKey ? parts_->state.clock_steps.Load(value) : parts_->sweep.Load(key, value);
  }));
  return status;
}

void Engine::Start(Instant now) {
  parts_->first_stamp = parts_->state.numbers.Upcoming();
  parts_->state.expiry.StartAt({});
  parts_->state.producers.Start();
  for (auto& [name, queue] : parts_->state.queues) {
    parts_->residency.Schedule(*queue, now);
    parts_->state.KeepLimits(*queue);
    if (queue->hints_are_late) parts_->ttl_walk.Begin(*queue);
  }
  parts_->next_idle_check = now;
}

void Engine::Handle(Command command, Instant now) {
  std::visit([this, now](auto& typed) { parts_->Route(typed, now); }, command);
}

void Engine::OnProgress(CommitNumber written, CommitNumber synced, Instant) {
  BrokerState& state = parts_->state;
  state.budget.OnWritten(written);
  state.confirmations.OnProgress(written, synced);
  parts_->settler.Flush();
  parts_->dispatcher.OnProgress();
}

bool Engine::OnHandedOver(CommitNumber number) {
  parts_->state.confirmations.OnHandedOver(number);
  parts_->settler.Flush();
  parts_->dispatcher.OnHandedOver();
  return !parts_->state.to_dispatch.empty();
}

void Engine::OnRead(ReadResult result, Instant now) {
  if (result.store_failed) {
    parts_->state.failure.Update(result.status);
    return;
  }
  parts_->reads.Complete(std::move(result), now);
  parts_->residency.RetryWaiting(now);
}

void Engine::OnClockMoved(Duration by, Instant now) {
  Parts& parts = *parts_;
  BrokerState& state = parts.state;
  state.numbers.Next();  // stamps from now on are other ones
  state.clock_steps.Add(parts.first_stamp, state.numbers.Upcoming(), by);
  state.turn.commit().Put(kClockStepsKey, state.clock_steps.Encode());
  state.turn.Require(Promise::kSynced);
  parts.returner.OnClockMoved(by);
  parts.dispatcher.OnClockMoved(by);
  parts.residency.OnClockMoved(by, now);
  parts.ttl_walk.OnClockMoved();
  parts.expirer.OnClockMoved();
  parts.sweep.OnClockMoved();
  state.producers.OnClockMoved(by);
  for (auto& [name, queue] : state.queues) {
    queue->hints_wait_until = queue->warned_of_overflow = {};
    if (by > Duration(0) || queue->stored_count() == 0) continue;  // what comes up early is put right then
    parts.ttl_walk.Begin(*queue);
    state.StoreDefinition(*queue);
  }
  parts.next_idle_check += by;
  parts.next_clock_row = now;
}

void Engine::OnDiskState(DiskState disk) { parts_->state.disk_low = disk == DiskState::kLow; }
bool Engine::OnMemoryRoom(const MemoryRoom& room) {
  parts_->state.budget.SetMemoryRoom(room);
  return parts_->state.budget.HasRunnable();
}

bool Engine::TurnIsFull() const { return parts_->state.budget.IsFull(); }

void Engine::Parts::ForgetIdleProducers(Instant now) {
  if (now < next_idle_check) return;
  next_idle_check = now + std::chrono::hours(1);
  if (state.producers.ForgetIdle(now, state.turn.commit())) state.turn.Require(Promise::kWritten);
}

void Engine::Parts::WriteLedgers(Instant now) {
  for (Queue* queue : state.dirty_ledgers) {
    queue->ledger_dirty = false;
    LedgerRecord& ledger = queue->ledger;
    ledger.head = queue->ready.boundary();
    if (!queue->ready.empty()) ledger.head = std::min(ledger.head, queue->ready.begin()->first);
    if (!queue->leased.empty()) ledger.head = std::min(ledger.head, queue->leased.begin()->first);
    ledger.next_due = queue->delayed.boundary().due;
    if (!queue->delayed.empty())
      ledger.next_due = std::min(ledger.next_due, queue->delayed.begin()->first.due);
    if (!queue->due_homes.empty()) ledger.next_due = std::min(ledger.next_due, queue->due_homes.begin()->due);
    Commit& commit = state.turn.commit();
    const auto births = ledger.births.TakeRow();
    if (births.has_value() && births->empty()) commit.Delete(BirthsKey(queue->number));
    if (births.has_value() && !births->empty()) commit.Put(BirthsKey(queue->number), EncodeBirths(*births));
    commit.Put(LedgerKey(queue->number), EncodeLedger(ledger));
    residency.Schedule(*queue, now);
  }
  state.dirty_ledgers.clear();
  state.budget.OnTurnEnded();
}

// Long before it is needed (SeqNumbers).
void Engine::Parts::RaiseEpoch() {
  if (!state.numbers.WantsEpoch()) return;
  state.turn.commit().Put(kEpochKey, EncodeEpoch(state.numbers.TakeWish()));
  state.turn.Require(Promise::kSynced);
  state.confirmations.When(state.turn.latest(), Promise::kSynced, [this] { state.numbers.OnRaised(); });
}

// With what is written anyhow, now and then.
void Engine::Parts::WriteClock(Instant now) {
  if (!state.options.clock_row || !state.turn.dirty() || now < next_clock_row) return;
  next_clock_row = now + kClockRowEvery;
  state.turn.commit().Put(kClockKey, state.options.clock_row());
}

Instant Engine::Parts::NextDue(Instant now) const {
  Instant next = std::min({expirer.NextDue(now), overflow.NextDue(now), ttl_walk.NextDue(), sweep.NextDue(),
                           next_idle_check, residency.next_retry()});
  if (!state.lease_ends.empty()) next = std::min(next, state.lease_ends.begin()->first.first);
  if (!state.delay_schedule.empty()) next = std::min(next, state.delay_schedule.begin()->first);
  if (!state.receive_waits.empty()) next = std::min(next, state.receive_waits.begin()->first);
  return next;
}

Engine::Turn Engine::EndTurn(Instant now) {
  Parts& parts = *parts_;
  BrokerState& state = parts.state;
  state.budget.RunDeferred(now);
  parts.overflow.GoOn(now);
  parts.publisher.TakeWaiting(now);
  state.budget.BeginTimed();
  state.budget.BeginPhase();
  parts.returner.EndLeases(now);
  state.budget.BeginPhase();
  parts.residency.RetryDamaged(now);
  parts.residency.WakeDue(now);
  parts.residency.RetryWaiting(now);
  state.budget.BeginPhase();
  parts.ttl_walk.GoOn(now);
  parts.expirer.FireDue(now);
  state.budget.BeginPhase(TurnBudget::kDeliveriesPerTurn);
  parts.dispatcher.DispatchWanted(now);
  parts.dispatcher.EndWaits(now);
  parts.residency.Evict(now);
  parts.sweep.GoOn(now);
  parts.ForgetIdleProducers(now);
  parts.RaiseEpoch();
  parts.settler.Flush();

  Turn turn;
  turn.failure = state.failure;
  turn.damage.swap(state.damage_reports);
  turn.warnings.swap(state.warnings);
  parts.WriteLedgers(now);
  if (state.producers.dirty()) state.producers.AppendTo(state.turn.commit());
  parts.WriteClock(now);
  if (state.turn.dirty()) {
    auto finished = state.turn.Finish();
    turn.number = finished.number;
    turn.promise = finished.promise;
    turn.commit = std::move(finished.commit);
    state.budget.OnSubmitted(turn.number, turn.commit.disk_bytes());
  }
  parts.locator.StartReads();
  turn.reads.swap(state.reads);
  turn.held_back = parts.publisher.held_back();
  const bool goes_on = parts.publisher.HasRunnable() || state.budget.HasRunnable() ||
                       !state.to_dispatch.empty() || parts.residency.MustEvictMore();
  turn.next_due = goes_on ? now : parts.NextDue(now);
  return turn;
}

}  // namespace baton
