// A message in memory, and the diagram of its life. One function of LifeCycle per arrow.
//
//   publish ──► ready ──deliver──► leased ──ack──► gone
//      │          ▲  ▲                │
//      └► delayed ┘  └── release / nack / lease ended / consumer gone
//                                     │     (attempt + 1 unless released; optional delay)
//                                     │ attempts used up, nack(dead_letter), expired
//                                     ▼
//                          dead-letter queue, or parked, or dropped
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/message_id.h"
#include "base/time.h"
#include "storage/format/keys.h"

namespace baton {

struct Queue;

struct Message {
  // Where it is in memory.
  enum class State : uint8_t {
    kSpilled,  // on disk only; this object is a passing view of its row
    kReady,    // in its queue's ready window
    kLeased,
    kDelayed,  // in its queue's delayed window
  };
  // Which row holds it.
  enum class Home : uint8_t { kReadyRow, kDelayedRow, kParkedRow };

  // Constant while it stays in one queue.
  MessageId id;
  Queue* queue = nullptr;
  Seq seq;  // of this queue; id.seq unless it was moved here
  uint32_t priority = 0;
  uint32_t hops = 0;
  Instant born;
  Instant arrived;  // in its queue: its TTL begins; kNever: not known, an earlier version moved it
  Instant own_deadline = kNever;  // by its own TTL
  ProducerId producer;
  uint64_t sequence = 0;
  std::string headers;
  std::string body;
  // Bytes of both that only the row holds: they were left there for want of room. state == kLeased only.
  uint64_t left_in_row = 0;

  // Where it is.
  State state = State::kSpilled;
  Home home = Home::kReadyRow;
  Instant due;          // home == kDelayedRow: since or until when, as its key says
  Seq due_stamp;        // when that was written (ClockSteps)
  CommitNumber commit;  // the latest one that may hold its row; for delivery = committed

  // Where its expiry hint is; never: it has none. Not after its deadline, but while its queue says
  // that hints are late; before it, it is moved there when it comes up.
  Instant hint = kNever;
  bool hint_was_moved = false;  // its attempts row tells it

  // What happened to it.
  uint32_t attempts = 0;         // that ended; stored
  std::string last_reason;       // of the last return
  DeliveryNumber last_delivery;  // not stored: none when it was not delivered since it came into memory

  // state == kLeased only.
  struct Lease {
    DeliveryNumber number;
    Instant end;
    SessionId session;  // none: held by a unary call's token
    SubscriptionId subscription;
  };
  Lease lease;

  // When it expires, by its own TTL and by that of its queue as it is now. Parked, never.
  Instant deadline() const;
  // `due`, by the time as it is now.
  Instant due_meant() const;
  bool has_attempts_row() const { return attempts > 0 || hint_was_moved; }

  uint64_t rank() const { return RankOfPriority(priority); }
  ReadyPosition position() const { return {rank(), seq}; }
  DelayedPosition delayed_position() const { return {due, seq}; }
  uint64_t bytes() const { return headers.size() + body.size() + left_in_row; }
  bool has_content() const { return left_in_row == 0; }
  // Memory it takes while resident, with its share of the indices.
  static constexpr size_t FootprintOfEmpty();
  size_t footprint() const;
};

constexpr size_t Message::FootprintOfEmpty() { return sizeof(Message) + 128; }
inline size_t Message::footprint() const { return FootprintOfEmpty() + headers.capacity() + body.capacity(); }

struct FootprintOf {
  size_t operator()(const Message* message) const { return message->footprint(); }
};

}  // namespace baton
