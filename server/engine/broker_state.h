// All the engine's state: who owns what, in one picture. The parts of the engine (Publisher, Settler,
// Dispatcher …) hold none of it; each is a set of functions over it.
//
//   queues ─────── windows, leased ──┐ point to
//   sessions ───── deliveries ───────┤ (by id)
//   expiry hints, lease ends ────────┤
//   residents ─────────────────────► Message (owner of every message in memory)
//   turn, budget, confirmations: what goes to the store, what more may, what waits for it
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/engine/engine.h"
#include "server/engine/eviction_index.h"
#include "server/engine/head_window.h"
#include "server/engine/life_cycle_observer.h"
#include "server/engine/message.h"
#include "server/engine/producers.h"
#include "server/engine/queue.h"
#include "server/engine/seq_numbers.h"
#include "server/engine/session_state.h"
#include "server/engine/turn.h"
#include "server/engine/turn_budget.h"

namespace baton {

// How long a lease is prolonged when there is no room to write that it ended, or a read is needed for that.
inline constexpr Duration kLeaseProlonged = std::chrono::milliseconds(500);

struct BrokerState {
  BrokerState(const EngineOptions& engine_options, Outputs* engine_outputs,
              LifeCycleObserver* engine_observer)
      : options(engine_options),
        outputs(engine_outputs),
        observer(engine_observer),
        producers(engine_options.producers_bytes_max) {}

  const EngineOptions options;
  Outputs* const outputs;
  LifeCycleObserver* const observer;  // may be null

  // Queues. Names in order, so that lists have pages.
  std::map<std::string, std::unique_ptr<Queue>, std::less<>> queues;
  absl::flat_hash_map<QueueId, Queue*> queues_by_number;
  uint32_t last_queue_number = 0;

  // Every message in memory, by the seq of its birth.
  absl::flat_hash_map<Seq, std::unique_ptr<Message>> residents;
  size_t resident_bytes = 0;  // footprints
  size_t leased_bytes = 0;    // of these, leased
  size_t reading_bytes = 0;   // that reads on their way may bring
  EvictionIndex evictions;

  // The head of all expiry hints, of all queues.
  HeadWindow<ExpiryPosition, MessageId> expiry{kExpiryEnd};
  // Hints that are due and wait for a read of their message. Whoever removes the hint's row takes it out of
  // here.
  absl::btree_set<ExpiryPosition> expiring;
  // Which leases end when.
  absl::btree_map<std::pair<Instant, DeliveryNumber>, Message*> lease_ends;
  // When each queue's next delayed message is due, or its next read for one.
  absl::btree_set<std::pair<Instant, QueueId>> delay_schedule;
  // Until when Receive calls wait.
  absl::btree_set<std::pair<Instant, CallId>> receive_waits;

  absl::flat_hash_map<SessionId, std::unique_ptr<Session>> sessions;
  absl::flat_hash_map<ProducerId, SessionId> producer_sessions;
  absl::flat_hash_map<CallId, std::unique_ptr<Subscription>> receives;  // Receive calls that wait
  Producers producers;
  size_t unsettled = 0;                    // deliveries, of all sessions
  absl::btree_set<SessionId> passed_over;  // those that took no deliveries when it was their turn

  Turn turn;
  Confirmations confirmations;
  TurnBudget budget{&options, &turn, &producers, &queues_by_number};
  WorkList<&Queue::in_dirty_ledgers> dirty_ledgers;
  WorkList<&Queue::in_to_dispatch> to_dispatch;
  WorkList<&Queue::in_awaiting_commit> awaiting_commit;  // delivery = committed, its head not yet committed
  WorkList<&Queue::in_awaiting_room> awaiting_room;      // with takers that may hold no more for now
  std::vector<ReadRequest> reads;                        // to start at the end of this turn
  bool disk_low = false;
  absl::btree_set<QueueId> over_limits;     // those that are to make room by dropping or moving their oldest
  std::vector<std::string> warnings;        // for the log
  std::vector<std::string> damage_reports;  // what could not be read: each is told once
  absl::flat_hash_set<std::string> damage_told;
  absl::Status failure;  // what was read makes no sense: the process must end

  SeqNumbers numbers{options.epoch};
  ClockSteps clock_steps;
  uint64_t last_delivery = 0;
  LatencyHistogram publish_to_deliver;

  // Something could not be read: that read has failed, and everything else goes on.
  void ReportDamage(const absl::Status& why) {
    if (damage_told.size() < kDamageReportsMax && damage_told.emplace(why.message()).second)
      damage_reports.emplace_back(why.message());
  }

  // For resident messages. What leads to the rows of memory queues is of the same share of the budget; half
  // of it stays, for without a window nothing is delivered.
  size_t WindowBytes() const {
    return options.window_bytes - std::min(budget.memory_room().index_bytes, options.window_bytes / 2) -
           std::min(expiry.bytes(), options.window_bytes / 4);
  }

  Queue* FindQueue(std::string_view name) {
    const auto found = queues.find(name);
    return found == queues.end() ? nullptr : found->second.get();
  }
  Queue* FindQueue(QueueId number) {
    const auto found = queues_by_number.find(number);
    return found == queues_by_number.end() ? nullptr : found->second;
  }
  Message* FindResident(Seq birth) {
    const auto found = residents.find(birth);
    return found == residents.end() ? nullptr : found->second.get();
  }

  // `queue`'s ledger changed: it is written with this turn's commit.
  void TouchLedger(Queue& queue) {
    turn.Require(queue.promise());
    if (queue.in_dirty_ledgers.is_linked()) return;
    if (queue.is_memory()) budget.ReserveInMemory(kLedgerBytesMax);
    dirty_ledgers.Add(queue);
  }
  // Its row, synced with this turn's commit.
  void StoreDefinition(const Queue& queue);
  // What a window holds, or who takes from it, changed.
  void FileForEviction(Queue& queue) {
    const auto cost = queue.has_takers() ? EvictionIndex::Cost::kUsed : EvictionIndex::Cost::kUnused;
    evictions.File({queue.number, EvictionIndex::Part::kReady}, cost, queue.ready.bytes(), queue.ready_place);
    evictions.File({queue.number, EvictionIndex::Part::kDelayed}, EvictionIndex::Cost::kUnused,
                   queue.delayed.bytes(), queue.delayed_place);
  }
  // Messages came to the queue that nobody could refuse, or back to it, or its limits are others: the oldest
  // go (Overflow), if its policy says so.
  void KeepLimits(Queue& queue) {
    if (!queue.is_over_limits() || queue.config.overflow == OverflowPolicy::kReject) return;
    queue.lacks_victims = false;
    over_limits.insert(queue.number);
  }
  // A dead letter has come to a queue that is full.
  void WarnOfOverflow(Queue& queue, Instant now);
  // Something may be deliverable now.
  void WantDispatch(Queue& queue) { to_dispatch.Add(queue); }
  // Somebody holds less than before: who had no room tries again.
  void RoomFreed() {
    while (Queue* queue = awaiting_room.Take()) WantDispatch(*queue);
  }
  // A taker has credit (again). Keeps the order of turns.
  void MakeAble(Subscription& subscription) {
    if (!subscription.HasCredit()) return;
    WantDispatch(*subscription.queue);  // it may have room for a larger message now
    if (subscription.place == TakerLine::kNoPlace) {
      subscription.queue->able.Join(&subscription, subscription.room());
    } else {
      subscription.queue->able.SetRoom(subscription, subscription.room());
    }
  }
  // One delivery less. One that holds nothing may have another whatever others hold: lines are told.
  void NoteSettled(Session& session) {
    --unsettled;
    RoomFreed();
    if (!session.unsettled.empty() || !std::exchange(session.passed_as_busy, false)) return;
    for (const auto& [id, subscription] : session.subscriptions) {
      if (subscription->place != TakerLine::kNoPlace)
        subscription->queue->able.SetRoom(*subscription, subscription->room());
    }
  }
};

absl::Status QueueNotFound(std::string_view name);

}  // namespace baton
