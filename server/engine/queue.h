// A queue: what the operator set, what is stored (the ledger), what is resident (the windows), what is
// leased, who waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/time.h"
#include "server/engine/clock_steps.h"
#include "server/engine/eviction_index.h"
#include "server/engine/head_window.h"
#include "server/engine/message.h"
#include "server/engine/outputs.h"
#include "server/engine/queue_config.h"
#include "server/engine/taker_line.h"
#include "server/engine/work_list.h"
#include "storage/format/records.h"
#include "storage/store.h"

namespace baton {

struct Subscription;

struct Queue {
  // Constant.
  QueueId number;
  std::string name;
  Instant created;
  const ClockSteps* clock_steps = nullptr;  // the broker's

  QueueConfig config;
  bool paused = false;
  bool skips_damage = false;    // what cannot be read is left out, and counted as lost
  bool hints_are_late = false;  // its TTL became shorter: TtlWalk has not seen all its messages since
  bool stored = false;          // its definition is synced: before, a memory queue takes no messages

  // Stored with the next commit when dirty. `head` and `next_due` are filled in then.
  LedgerRecord ledger;
  WorkHook in_dirty_ledgers;

  // Resident messages. Owned by Residents.
  HeadWindow<ReadyPosition, Message*, FootprintOf> ready{kReadyEnd};
  HeadWindow<DelayedPosition, Message*, FootprintOf> delayed{kDelayedEnd};
  absl::btree_map<ReadyPosition, Message*> leased;
  // Ready or leased messages whose row is still a delayed one; the same in delivery order.
  absl::btree_set<DelayedPosition> due_homes;
  absl::btree_map<ReadyPosition, Message*> due_messages;
  uint64_t resident_ready_rows = 0;  // in `ready` or `leased`, with a ready row
  size_t resident_bytes = 0;         // footprints of everything above
  EvictionPlace ready_place;         // where EvictionIndex has the windows
  EvictionPlace delayed_place;

  // Who takes messages. `able`: those with credit, in the order of their turn.
  absl::flat_hash_set<Subscription*> subscriptions;
  TakerLine able;

  // Its places in the lists of BrokerState and Residency.
  WorkHook in_to_dispatch;
  WorkHook in_awaiting_commit;
  WorkHook in_awaiting_room;
  WorkHook in_awaiting_read;

  bool awaits_budget = false;      // has work in the turn budget that wants its dispatch
  bool read_refused = false;       // of delayed rows: there was no room for it
  bool read_when_due = false;      // of delayed rows: there was no room for what was read ahead
  Instant scheduled_due = kNever;  // its entry in BrokerState::delay_schedule
  // Messages taken over its limits, whose victims go later: only the disk can name them, or they are more
  // than one commit should hold.
  uint64_t admitted_over = 0;
  uint64_t admitted_over_bytes = 0;
  bool seeking_victims = false;
  Instant warned_of_overflow;  // when the log was last told
  bool lacks_victims = false;  // the last search found none: what is there is leased or delayed
  ReadyPosition victims_from;  // nothing older of its rank was there to be dropped
  int victimless_passes = 0;   // over all of them, since the last that could be dropped
  absl::Status damage;         // why its next rows cannot be read; OK: they can, as far as is known
  Instant hints_wait_until;    // for room in shared memory to move them
  // The window cannot be read on, until Residency tries again.
  bool ready_awaits_repair = false;
  bool delayed_awaits_repair = false;

  uint32_t purges = 0;    // under way: nobody is given its messages, and what is published to it waits
  uint64_t removals = 0;  // of rows, one by one

  QueueCounters counters;

  bool delivers() const { return !paused && purges == 0; }
  uint64_t ready_count() const { return ledger.ready.rows + due_homes.size() - leased.size(); }
  uint64_t delayed_count() const { return ledger.delayed.rows - due_homes.size(); }
  uint64_t stored_count() const { return ledger.ready.rows + ledger.delayed.rows; }
  bool IsOverLimits(uint64_t messages, uint64_t bytes) const {
    return (config.messages_max != 0 && messages > config.messages_max) ||
           (config.bytes_max != 0 && bytes > config.bytes_max);
  }
  bool is_over_limits() const { return IsOverLimits(stored_count(), stored_bytes()); }
  uint64_t stored_bytes() const { return ledger.ready.bytes + ledger.delayed.bytes; }
  uint64_t spilled_ready() const { return ledger.ready.rows - resident_ready_rows; }
  uint64_t spilled_delayed() const { return ledger.delayed.rows - delayed.size() - due_homes.size(); }
  uint64_t resident_count() const { return ready.size() + leased.size() + delayed.size(); }
  bool wants_dispatch() const { return in_to_dispatch.is_linked(); }
  // It has takers that may hold no more for now.
  bool awaits_room() const { return in_awaiting_room.is_linked(); }
  bool awaits_repair() const { return ready_awaits_repair || delayed_awaits_repair; }
  // Somebody could be given a message now, and there is none in memory.
  bool is_starved() const { return delivers() && ready.empty() && !ready.all_resident() && !able.empty(); }
  // Takers have to wait for a read. It ends: with a message in the window, or with the whole queue in it.
  bool head_is_coming() const {
    return delivers() && !ready_awaits_repair && ready.empty() && !ready.all_resident() && has_takers();
  }
  bool has_takers() const { return !subscriptions.empty(); }
  bool is_memory() const { return IsMemoryQueue(number); }
  Promise promise() const {
    if (is_memory()) return Promise::kApplied;
    return config.durability == Durability::kRelaxed ? Promise::kWritten : Promise::kSynced;
  }
};

inline Instant Message::deadline() const {
  if (home == Home::kParkedRow) return kNever;
  const Duration ttl = queue->config.ttl;
  const bool by_queue = ttl > Duration(0) && arrived != kNever;
  return queue->clock_steps->Meant(by_queue ? std::min(own_deadline, arrived + ttl) : own_deadline, seq);
}
inline Instant Message::due_meant() const { return queue->clock_steps->Meant(due, due_stamp); }

// One consumer of one queue: a session's subscription, or a waiting Receive call.
struct Subscription {
  Queue* queue = nullptr;
  SessionId session;  // none for a call
  SubscriptionId id;
  uint64_t birth = 0;  // counts the session's subscriptions: another one may have its id later
  CallId call;
  Duration lease{0};
  uint32_t credit_messages = 0;
  uint64_t credit_bytes = 0;
  uint32_t unsettled = 0;
  uint64_t unsettled_bytes = 0;
  size_t place = TakerLine::kNoPlace;     // in the queue's line
  Instant wait_end = kNever;              // calls only
  std::vector<ReceivedMessage> received;  // calls only

  // One message larger than the credit may stand alone.
  bool HasCreditFor(uint64_t bytes) const {
    return unsettled < credit_messages && (unsettled == 0 || unsettled_bytes + bytes <= credit_bytes);
  }
  bool HasCredit() const { return HasCreditFor(0); }
  // For the queue's line. It does not know what its session holds by other subscriptions.
  TakerLine::Room room() const {
    if (call) return {.bytes = unsettled == 0 ? TakerLine::kAnySize : bytes_left(), .held = 0};
    return {.bytes = unsettled == 0 ? TakerLine::kIdle : bytes_left(), .held = unsettled};
  }
  uint64_t bytes_left() const { return credit_bytes - std::min(unsettled_bytes, credit_bytes); }
};

}  // namespace baton
