#include "server/engine/engine.h"

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "base/check.h"
#include "base/error.h"
#include "server/engine/broker_rows.h"
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

namespace baton {
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
        session_table(&state, &dispatcher, &returner),
        rows(&state, &residency) {
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

  // The parts that have something to do in each turn, in the order of their turns: Tick(now) does what is
  // due, as far as it may (TurnBudget); NextDue(now) says when there is something to do again, whatever
  // others have done since: `now` when at once.
  auto Commanded() { return std::tie(state.budget, overflow, publisher); }
  auto Timed() {
    return std::tie(returner, residency, ttl_walk, expirer, dispatcher, evictions, sweep, rows);
  }

  Instant NextDue(Instant now) {
    return std::apply([now](auto&... part) { return std::min({part.NextDue(now)...}); },
                      std::tuple_cat(Commanded(), Timed()));
  }

  BrokerState state;
  Reads reads;
  LifeCycle life_cycle;
  Locator locator;
  Residency residency;
  // Behind the deliveries of a turn: what they made room for, or need.
  struct Evictions {
    Residency& residency;
    void Tick(Instant now) { residency.Evict(now); }
    Instant NextDue(Instant) const { return kNever; }  // Residency's
  } evictions{residency};
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
  BrokerRows rows;
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
  parts_->rows.Start(now);
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
  parts.rows.OnClockMoved(by, now);
}

void Engine::OnDiskState(DiskState disk) { parts_->state.disk_low = disk == DiskState::kLow; }
bool Engine::OnMemoryRoom(const MemoryRoom& room) {
  parts_->state.budget.SetMemoryRoom(room);
  return parts_->state.budget.HasRunnable();
}

bool Engine::TurnIsFull() const { return parts_->state.budget.IsFull(); }

Engine::Turn Engine::EndTurn(Instant now) {
  Parts& parts = *parts_;
  BrokerState& state = parts.state;
  const auto tick = [now](auto&... part) { (part.Tick(now), ...); };
  std::apply(tick, parts.Commanded());
  state.budget.BeginTimed();
  std::apply(tick, parts.Timed());
  parts.settler.Flush();

  Turn turn;
  turn.failure = state.failure;
  turn.damage.swap(state.damage_reports);
  turn.warnings.swap(state.warnings);
  parts.rows.Write(now);
  state.budget.OnTurnEnded();
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
  turn.next_due = std::max(now, parts.NextDue(now));
  return turn;
}

}  // namespace baton
