// What transports post to the engine: parsed, checked against base/limits.h, typed. Below this line only
// valid values exist. A command is a value and owns what it holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/message_id.h"
#include "base/time.h"
#include "server/engine/queue_config.h"
#include "storage/format/keys.h"

namespace baton {

struct NewMessage {
  uint32_t priority = 0;
  Duration ttl{0};      // 0 = the queue's
  Duration delay{0};    // 0 = ready at once
  std::string headers;  // an encoded baton.v1.Headers
  std::string body;
};

// ---- Sessions. The transport picks the ids, and posts OpenSession first and CloseSession last, each once.

// Answered by Outputs::SessionOpened. A producer id in use by another session ends that one (kAborted).
struct OpenSession {
  SessionId session;
  std::string client_name;
  std::string peer;
  ProducerId producer;  // none = the session does not publish idempotently; its sequences are only echoed
};
// The session's leases go back, an attempt counted for each. Nothing is output for the session afterwards.
struct CloseSession {
  SessionId session;
};

struct Subscribe {
  SessionId session;
  SubscriptionId subscription;
  std::string queue;
  Duration lease{0};  // 0 = the queue's
  uint32_t credit_messages = 1;
  uint64_t credit_bytes = kCreditBytesDefault;
};
struct Unsubscribe {
  SessionId session;
  SubscriptionId subscription;
};
struct SetCredit {
  SessionId session;
  SubscriptionId subscription;
  uint32_t messages = 0;
  uint64_t bytes = 0;  // 0 = unchanged
};

// There is room again for deliveries (Outputs::TakesDeliveries): those that were passed over are looked at.
struct ResumeDeliveries {};

// From a session (answered by Outputs::Confirm) or from a call (answered by PublishReply).
struct Publish {
  SessionId session;
  CallId call;
  std::string queue;
  ProducerId producer;          // calls only; a session's producer is that of OpenSession
  uint64_t first_sequence = 0;  // 0 = none (calls only)
  bool want_ids = false;
  // What of a session may have to wait for the disk: for a queue on disk, or behind something that is.
  bool to_disk = true;
  std::vector<NewMessage> messages;
};

enum class SettleKind : uint8_t { kAck, kNack, kRelease, kExtend, kDeadLetter };

// How to settle; shared by sessions and calls.
struct Settlement {
  SettleKind kind = SettleKind::kAck;
  std::optional<Duration> delay;  // kNack; absent = the queue's backoff
  Duration lease{0};              // kExtend; 0 = the subscription's or queue's
  std::string reason;             // kNack, kDeadLetter
};

struct TagRange {
  uint64_t first = 0;
  uint64_t last = 0;  // inclusive
};

// Settlements of a session are numbered 1, 2, 3 … as they come; answered by Outputs::Settled. A tag that was
// never delivered ends the session.
struct SettleTags {
  SessionId session;
  Settlement settlement;
  std::vector<TagRange> tags;
  bool goes_on = false;  // the session's next SettleTags is the rest of this settlement
};

// ---- Calls: each is answered exactly once by Outputs::Answer(call, …), unless its call id is none.

struct SettleTokens {
  CallId call;
  Settlement settlement;
  // nullopt: a text that is no token; answered with TOKEN_INVALID.
  std::vector<std::optional<LeaseToken>> tokens;
};

// Leases up to `messages_max` at once, or waits until there is one, `wait` is over, or CancelCall.
struct Receive {
  CallId call;
  std::string queue;
  uint32_t messages_max = 1;
  uint64_t bytes_max = 0;
  Duration wait{0};
  Duration lease{0};
};
// The client is gone: the Receive ends (answered with kCancelled). What was leased and not delivered is the
// transport's to release.
struct CancelCall {
  CallId call;
};

struct CreateQueue {
  CallId call;
  std::string name;
  QueueConfigPatch config;
};
struct UpdateQueue {
  CallId call;
  std::string name;
  QueueConfigPatch config;
  std::optional<bool> paused;
  std::optional<bool> skip_damage = {};
};
struct DeleteQueue {
  CallId call;
  std::string name;
  bool only_if_empty = false;
};
struct PurgeQueue {
  CallId call;
  std::string name;
};
struct GetQueue {
  CallId call;
  std::string name;
};
struct ListQueues {
  CallId call;
  std::string prefix;
  std::string after;  // names after this one
  size_t limit = 1'000;
};

enum class MessageState : uint8_t { kReady, kLeased, kDelayed, kParked };

struct ListMessages {
  CallId call;
  ClientId client = {};  // whose it is: lists of one wait for one another
  std::string queue;
  MessageState state = MessageState::kReady;  // not kLeased
  std::optional<MessageKeyParts> after;       // the row of the last one listed, from MessagePage
  size_t limit = 100;
  size_t body_bytes_max = 256;
};
struct GetMessage {
  CallId call;
  MessageId id;
};
struct DeleteMessage {
  CallId call;
  MessageId id;
};
struct GetEngineStatus {
  CallId call;
};

using Command =
    std::variant<OpenSession, CloseSession, Subscribe, Unsubscribe, SetCredit, ResumeDeliveries, Publish,
                 SettleTags, SettleTokens, Receive, CancelCall, CreateQueue, UpdateQueue, DeleteQueue,
                 PurgeQueue, GetQueue, ListQueues, ListMessages, GetMessage, DeleteMessage, GetEngineStatus>;

}  // namespace baton
