// All the engine's state: who owns what, in one picture. The parts of the engine (Publisher, Settler,
// Dispatcher …) hold none of it; each is a set of functions over it.
//
//   queues ─────── windows, leased ──┐ point to
//   sessions ───── deliveries ───────┤ (by id)
//   expiry hints, lease ends ────────┤
//   residents ─────────────────────► Message (owner of every message in memory)
//   turn, confirmations: what goes to the store, what waits for it
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "server/engine/engine.h"
#include "server/engine/head_window.h"
#include "server/engine/life_cycle_observer.h"
#include "server/engine/message.h"
#include "server/engine/producers.h"
#include "server/engine/queue.h"
#include "server/engine/session_state.h"
#include "server/engine/turn.h"

namespace baton {

// How long a lease is prolonged when shared memory has no room to write that it ended.
inline constexpr Duration kLeaseProlonged = std::chrono::milliseconds(500);

struct BrokerState {
  BrokerState(const EngineOptions& engine_options, Outputs* engine_outputs,
              LifeCycleObserver* engine_observer)
      : options(engine_options), outputs(engine_outputs), observer(engine_observer) {}

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

  Turn turn;
  Confirmations confirmations;
  std::vector<Queue*> dirty_ledgers;
  size_t dirty_memory_ledgers = 0;  // of these, of memory queues
  std::vector<Queue*> to_dispatch;
  std::vector<Queue*> awaiting_commit;  // delivery = committed, its head not yet committed
  std::vector<Queue*> awaiting_room;    // with takers that may hold no more for now
  std::vector<ReadRequest> reads;       // to start at the end of this turn
  // Work that waits for later turns, in order, because this turn's commit is large enough already: a nack or
  // the end of a session may write many large bodies again.
  std::deque<absl::AnyInvocable<void(Instant now)>> put_off;
  // The same of memory queues, while shared memory has no room for it; the others go on.
  std::deque<absl::AnyInvocable<void(Instant now)>> put_off_in_memory;
  std::deque<absl::AnyInvocable<void(Instant now)>> put_off_removals;  // of these, what only removes
  std::deque<std::pair<CommitNumber, size_t>> uncommitted;  // handed over, not yet written: bytes each
  size_t uncommitted_bytes = 0;
  bool disk_low = false;
  MemoryRoom memory_room;  // what this turn's commit may hold of them; none, until the store says so
  absl::Status failure;    // what was read makes no sense: the process must end

  uint64_t last_seq_counter = 0;
  uint64_t last_delivery = 0;
  LatencyHistogram publish_to_deliver;

  Seq NextSeq();

  bool CommitIsFull() const { return turn.commit().bytes() >= options.turn_commit_bytes; }

  // For resident messages. What leads to the rows of memory queues is of the same share of the budget; half
  // of it stays, for without a window nothing is delivered.
  size_t WindowBytes() const {
    return options.window_bytes - std::min(memory_room.index_bytes, options.window_bytes / 2);
  }
  // What the turn's commit will take in shared memory, with the rows that its end adds.
  size_t MemoryBytes() const {
    return turn.commit().memory_bytes() + dirty_memory_ledgers * kLedgerBytesMax +
           producers.dirty_memory_bytes();
  }
  bool MemoryMayRewrite() const { return MemoryBytes() < memory_room.rewrite; }
  bool MemoryMayRemove() const { return MemoryBytes() < memory_room.remove; }
  // May something of this queue be written again, or be removed, in this turn? What may not is put off.
  bool MayRewrite(QueueId queue) const {
    return !CommitIsFull() && (!IsMemoryQueue(queue) || MemoryMayRewrite());
  }
  bool MayRemove(QueueId queue) const { return !IsMemoryQueue(queue) || MemoryMayRemove(); }
  // For a message of so many bytes that makes a memory queue grow. ERRORS: RESOURCE_EXHAUSTED.
  absl::Status RoomInMemory(size_t bytes);
  void PutOff(QueueId queue, absl::AnyInvocable<void(Instant now)> work) {
    (IsMemoryQueue(queue) ? put_off_in_memory : put_off).push_back(std::move(work));
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
    if (queue.ledger_dirty) return;
    queue.ledger_dirty = true;
    if (queue.is_memory()) ++dirty_memory_ledgers;
    dirty_ledgers.push_back(&queue);
  }
  // Something may be deliverable now.
  void WantDispatch(Queue& queue) {
    if (queue.dispatch_wanted) return;
    queue.dispatch_wanted = true;
    to_dispatch.push_back(&queue);
  }
  // Somebody holds less than before: who had no room tries again.
  void RoomFreed() {
    for (Queue* queue : awaiting_room) {
      queue->awaits_room = false;
      WantDispatch(*queue);
    }
    awaiting_room.clear();
  }
  // A taker has credit (again). Keeps the order of turns.
  void MakeAble(Subscription& subscription) {
    if (!subscription.HasCredit()) return;
    WantDispatch(*subscription.queue);  // it may have room for a larger message now
    if (subscription.in_able) return;
    subscription.in_able = true;
    subscription.queue->able.push_back(&subscription);
  }
};

absl::Status QueueNotFound(std::string_view name);

}  // namespace baton
