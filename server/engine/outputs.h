// What the engine says to transports. Every promise it states holds when it is called: the engine is the one
// place that sends confirmations, downstream of the commit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "base/message_id.h"
#include "base/time.h"
#include "server/engine/commands.h"
#include "server/engine/latency_histogram.h"
#include "server/engine/queue_config.h"
#include "storage/format/keys.h"
#include "storage/store.h"

namespace baton {

// One delivery. Borrows: `headers` and `body` are good during the call only.
struct DeliveryView {
  MessageId id;
  DeliveryNumber number;
  uint64_t tag = 0;  // of the session, consecutive
  SubscriptionId subscription;
  uint32_t priority = 0;
  uint32_t attempt = 1;
  bool redelivered = false;
  Instant published;
  Instant lease_end;
  ProducerId producer;
  uint64_t sequence = 0;
  std::string_view headers;
  std::string_view body;
};

struct PublishFailure {
  uint64_t sequence = 0;
  absl::Status status;
};
// What became of sequences first .. last of a session.
struct ConfirmRun {
  uint64_t first = 0;
  uint64_t last = 0;
  Durability durability = Durability::kDurable;
  std::vector<PublishFailure> failures;
  std::vector<uint64_t> duplicates;
  std::string ids;  // when wanted: MessageId::kBytes per sequence, zeros for an exception
};

// Why tags tag .. tag + further of a settlement changed nothing.
struct SettleFailure {
  uint64_t settlement = 0;
  uint64_t tag = 0;
  uint64_t further = 0;
  absl::Status status;

  // True: `next` is of the same settlement, goes on where this ends, has the same reason, and is part of this
  // now.
  bool Joins(const SettleFailure& next) {
    if (next.settlement != settlement || next.tag != tag + further + 1 || next.status != status) return false;
    further += next.further + 1;
    return true;
  }
};

// ---- Answers to calls.

struct PublishResult {
  absl::Status status;
  MessageId id;
  bool duplicate = false;
};
struct PublishReply {
  Durability durability = Durability::kDurable;
  std::vector<PublishResult> results;
};

struct ReceivedMessage {
  LeaseToken token;  // holds the id and the attempt
  uint32_t priority = 0;
  bool redelivered = false;
  Instant published;
  Instant lease_end;
  ProducerId producer;
  uint64_t sequence = 0;
  std::string headers;
  std::string body;
};
struct ReceiveReply {
  std::vector<ReceivedMessage> messages;
};

struct SettleReply {
  std::vector<absl::Status> results;
};

// Since the broker's start. A message comes to a queue in one of three ways and leaves it in one of seven, so
// that, for each queue, always: came() == left() + ready + leased + delayed + parked.
struct QueueCounters {
  uint64_t found = 0;  // at the broker's start
  uint64_t published = 0;
  uint64_t arrived = 0;  // dead-lettered by another queue

  uint64_t acked = 0;
  uint64_t expired = 0;        // dropped because its TTL was over
  uint64_t dropped = 0;        // by a limit, or its attempts were used up
  uint64_t dead_lettered = 0;  // to another queue, for whatever reason
  uint64_t purged = 0;
  uint64_t deleted = 0;  // one by one
  uint64_t lost = 0;     // could not be read, and was left out

  // What happened to those that are, or were, there.
  uint64_t delivered = 0;
  uint64_t returned = 0;  // nacked, lease ended, or consumer gone
  uint64_t parked = 0;

  uint64_t came() const { return found + published + arrived; }
  uint64_t left() const { return acked + expired + dropped + dead_lettered + purged + deleted + lost; }
};
struct QueueInfo {
  std::string name;
  QueueId number;
  QueueConfig config;
  bool paused = false;
  bool skips_damage = false;
  std::string damage;  // why delivery stands still; empty: it does not
  bool is_over_limits = false;
  Instant created;
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t parked = 0;
  uint64_t bytes = 0;
  uint64_t resident = 0;  // in windows, or leased
  uint64_t subscriptions = 0;
  Duration oldest_age{0};
  QueueCounters counters;
};
struct QueueList {
  std::vector<QueueInfo> queues;  // by name
  bool more = false;
};
struct MessageCount {  // purge, delete
  uint64_t messages = 0;
};

struct MessageInfo {
  MessageId id;
  std::string queue;
  MessageState state = MessageState::kReady;
  uint32_t priority = 0;
  uint32_t attempts = 0;  // that ended
  std::string headers;
  std::string body;  // lists: cut to body_bytes_max
  uint64_t body_bytes = 0;
  Instant published;
  Instant due = kNever;  // kDelayed only
  Instant expires = kNever;
  Instant lease_end = kNever;  // kLeased only
  std::string last_reason;
  ProducerId producer;
  uint64_t sequence = 0;
};
struct MessagePage {
  std::vector<MessageInfo> messages;
  std::optional<MessageKeyParts> after;  // for the next page; none = that was all
};

struct SessionDescription {
  SessionId session;
  std::string client_name;
  std::string peer;
  Instant opened;
  uint64_t subscriptions = 0;
  uint64_t unsettled = 0;
  uint64_t unconfirmed = 0;
};
struct EngineStatus {
  Epoch epoch;
  uint64_t queues = 0;
  uint64_t sessions = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t resident_bytes = 0;  // windows and leased messages, with overhead
  uint64_t leased_bytes = 0;    // of these
  uint64_t uncommitted_bytes = 0;
  MemoryUse memory_queues;
  uint64_t unsettled_bytes = 0;  // deliveries of sessions that are not settled
  uint64_t producers = 0;
  uint64_t producer_bytes = 0;
  uint64_t producers_pushed_out = 0;  // for new ones, since the start
  bool disk_low = false;
  LatencyHistogram publish_to_deliver;           // first deliveries
  std::vector<SessionDescription> session_list;  // at most 1,000
};

struct Done {};

using Reply = std::variant<Done, PublishReply, ReceiveReply, SettleReply, QueueInfo, QueueList, MessageCount,
                           MessagePage, MessageInfo, EngineStatus>;

// THREADS: called on the engine's thread, inside its functions. Must not call the engine back, must not
// block.
class Outputs {
 public:
  virtual ~Outputs() = default;

  virtual void SessionOpened(SessionId session, uint64_t accepted_sequence) = 0;
  virtual void Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration> lease) = 0;
  virtual void SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) = 0;
  virtual void Deliver(SessionId session, const DeliveryView& delivery) = 0;
  // May it be given so many bytes? False: it does not take what it was given before, or others take up the
  // room. It is passed over until its next SetCredit, which the transport posts, with the same credit, when
  // it has taken something, or until the next ResumeDeliveries.
  virtual bool TakesDeliveries(SessionId /*session*/, size_t /*bytes*/) { return true; }
  virtual void Confirm(SessionId session, ConfirmRun run) = 0;
  // Every settlement up to `through` is answered; cumulative.
  virtual void Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) = 0;
  // The engine ends the session (its producer id was taken over, it broke a rule). The transport still posts
  // CloseSession.
  virtual void EndSession(SessionId session, absl::Status why) = 0;

  virtual void Answer(CallId call, absl::StatusOr<Reply> reply) = 0;
};

}  // namespace baton
