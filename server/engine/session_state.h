// What the engine knows of a session: its subscriptions, what was delivered to it and not settled, its
// settlements.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/ids.h"
#include "base/message_id.h"
#include "base/time.h"
#include "server/engine/outputs.h"
#include "server/engine/producers.h"
#include "server/engine/queue.h"

namespace baton {

// A delivery that its session has not settled. Its lease may have ended since; it keeps its place, and its
// credit, until the client settles it, so that a late ack can be judged.
struct Unsettled {
  DeliveryNumber number;
  uint32_t attempt = 1;
  MessageId id;
  SubscriptionId subscription;
  uint64_t birth = 0;  // of that subscription, which may have ended; another may have its id now
  uint64_t bytes = 0;
  bool settling = false;  // a settlement of it waits for room; any further one comes too late
};

// What one takes in its session's tree, and a little for the tree.
inline constexpr size_t kUnsettledBytes = (sizeof(uint64_t) + sizeof(Unsettled)) * 4 / 3;

// One Settle of the client on its way to its answer. Answered in order.
struct PendingSettlement {
  size_t undecided = 0;  // tags that wait for a read
  bool decided_all = false;
  bool wrote = false;  // its answer waits for the commit, with the strongest promise of the queues it touched
  Promise promise = Promise::kApplied;
  bool ready = false;                   // decided, and its promise holds
  std::vector<SettleFailure> failures;  // runs of tags, as they were decided
};

struct Session {
  SessionId id;
  std::string client_name;
  std::string peer;
  ProducerId producer;
  OwnerId owner;  // of its producer
  Instant opened;

  // In order: what their end brings about is the same each time a history is played.
  absl::btree_map<SubscriptionId, std::unique_ptr<Subscription>> subscriptions;
  uint64_t held_back = 0;      // its commands that wait for the store (Publisher), in order
  size_t held_back_bytes = 0;  // of these, settlements
  QueueId held_in;             // the line in which they wait
  uint64_t unconfirmed = 0;    // messages it published that have no answer yet
  absl::btree_map<uint64_t, Unsettled> unsettled;  // by tag
  bool passed_as_busy = false;                     // lines of queues know that it holds something
  uint64_t last_tag = 0;
  uint64_t last_birth = 0;  // of its subscriptions

  // The subscription that delivered it; null: that one has ended.
  Subscription* SubscriptionOf(const Unsettled& delivery) {
    const auto found = subscriptions.find(delivery.subscription);
    return found != subscriptions.end() && found->second->birth == delivery.birth ? found->second.get()
                                                                                  : nullptr;
  }

  std::deque<PendingSettlement> settlements;
  uint64_t first_settlement = 1;  // number of settlements.front()
  bool broke_rules = false;       // it is being ended: what it settles is not looked at any more
};

}  // namespace baton
