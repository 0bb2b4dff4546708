// Queues and single messages as an administrator sees them; the calls are on Client (baton/client.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "baton/message.h"

namespace baton {
inline namespace client_api {

using UnixTime = std::chrono::sys_time<std::chrono::milliseconds>;  // by the broker's clock

enum class DeliveryMode : uint8_t {
  kEager = 1,      // at once, perhaps before its confirm (default)
  kCommitted = 2,  // once it is as durable as the queue
};

// What a publish over a queue's limit meets.
enum class OverflowPolicy : uint8_t {
  kReject = 1,            // RESOURCE_EXHAUSTED (default)
  kDropOldest = 2,        // the oldest of the lowest priority goes, leased ones excepted
  kDeadLetterOldest = 3,  // … to the dead-letter queue, or parked
};

// What becomes of a message that is given up.
enum class Disposal : uint8_t {
  kDrop = 1,
  kDeadLetter = 2,  // to the dead-letter queue; parked when there is none
  kPark = 3,        // set aside in its own queue until someone decides
};

// Absent: the default at creation, unchanged in an update; in an answer everything is set.
struct QueueConfig {
  std::optional<Durability> durability = {};            // kDurable
  std::optional<DeliveryMode> delivery = {};            // kEager
  std::optional<std::chrono::milliseconds> lease = {};  // 30 s; 100 ms to 12 h
  std::optional<uint32_t> attempts_max = {};            // 16; 0 = unlimited
  std::optional<std::chrono::milliseconds> backoff =
      {};  // 0; after the first failed attempt, doubled after each
  std::optional<std::chrono::milliseconds> backoff_max = {};  // 1 h
  std::optional<Disposal> exhausted = {};                     // attempts used up: kDeadLetter
  std::optional<Disposal> expired = {};                       // TTL over: kDrop
  std::optional<std::string> dead_letter_queue = {};          // "" = none
  std::optional<std::chrono::milliseconds> ttl = {};          // 0 = none
  std::optional<uint64_t> messages_max = {};                  // 0 = no limit
  std::optional<uint64_t> bytes_max = {};                     // 0 = no limit
  std::optional<uint64_t> in_flight_max = {};                 // 0 = no limit
  std::optional<OverflowPolicy> overflow = {};                // kReject
};

struct QueueCounts {
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t parked = 0;
  uint64_t bytes = 0;
  uint64_t resident = 0;                    // messages held in the broker's own memory
  std::chrono::milliseconds oldest_age{0};  // within a few percent
  uint64_t subscriptions = 0;
  // Since the broker's start. Always: found + published + arrived = acked + expired + dropped + dead_lettered
  // + purged + deleted + lost + ready + leased + delayed + parked.
  uint64_t published = 0;
  uint64_t delivered = 0;  // a message counts at each delivery
  uint64_t acked = 0;
  uint64_t returned = 0;       // nacked, lease ended, consumer gone
  uint64_t expired = 0;        // dropped because their TTL was over
  uint64_t dead_lettered = 0;  // moved to the dead-letter queue
  uint64_t dropped = 0;        // by a limit, or because their attempts were used up
  uint64_t found = 0;          // in the store, at the broker's start
  uint64_t arrived = 0;        // dead-lettered by another queue
  uint64_t purged = 0;
  uint64_t deleted = 0;       // one by one
  uint64_t parked_since = 0;  // set aside; `parked` is how many still are
  uint64_t lost = 0;          // could not be read, and were left out
};

struct QueueInfo {
  std::string name;
  QueueConfig config;
  QueueCounts counts;
  bool paused = false;
  UnixTime created{};
  uint32_t number = 0;
  std::string damage;  // why delivery stands still: its next messages cannot be read
  bool skips_damage = false;
  bool is_over_limits = false;  // holds more than its limits, as dead letters are never refused
};

enum class MessageState : uint8_t { kReady = 1, kLeased = 2, kDelayed = 3, kParked = 4 };

struct MessageInfo {
  std::string message_id;
  std::string queue;
  MessageState state = MessageState::kReady;
  uint32_t priority = 0;
  uint32_t attempts = 0;  // that ended; a leased message is in attempt attempts + 1
  Headers headers;
  std::string body;         // lists: only its beginning
  uint64_t body_bytes = 0;  // of the whole
  UnixTime published{};
  std::optional<UnixTime> due = {};        // delayed: when it becomes ready
  std::optional<UnixTime> expires = {};    // absent = never
  std::optional<UnixTime> lease_end = {};  // leased
  std::string last_reason;                 // of the last return, or why it was parked
  uint64_t producer_id = 0;
  uint64_t sequence = 0;
};

struct ListMessagesOptions {
  std::string queue;
  MessageState state =
      MessageState::kReady;       // leased ones are listed where they are stored, among ready or delayed
  uint32_t page_size = 100;       // at most 1,000
  std::string page_token = {};    // from the page before
  uint64_t body_bytes_max = 256;  // of each body
};
struct MessagePage {
  std::vector<MessageInfo> messages;  // in delivery order
  std::string next_page_token;        // "" = no more
};

struct SessionInfo {
  uint64_t session_id = 0;
  std::string client_name;
  std::string peer;
  uint64_t subscriptions = 0;
  uint64_t unsettled = 0;
  uint64_t unconfirmed = 0;
  UnixTime connected{};
};

// What may refuse publishers to memory queues.
enum class MemoryBound : uint8_t {
  kSharedMemory = 1,  // option memory_queue_bytes
  kFileSystem = 2,    // of option memory_queue_dir: it has less than that
  kIndex = 3,         // what leads to the messages, in the broker's own memory
  kUnavailable = 4,   // their file in memory_queue_dir cannot be had, and not for want of room
};

// How full memory queues' memory is, all queues together. At a limit publishers to them are refused.
struct MemoryQueuesStatus {
  uint64_t shared_used_bytes = 0;  // messages, and what is kept so that they can always be settled
  // memory_queue_bytes, or less when its file system has less; 0: there is no shared memory for them at all
  uint64_t shared_limit_bytes = 0;
  uint64_t index_used_bytes = 0;
  uint64_t index_limit_bytes = 0;  // a quarter of memory_budget
  MemoryBound nearest = MemoryBound::kSharedMemory;
  bool full = false;
};

struct BrokerStatus {
  std::string version;
  uint32_t epoch = 0;  // how often the broker was started
  UnixTime started{};
  UnixTime now{};
  uint32_t pid = 0;
  std::string data_dir;
  uint64_t queues = 0;
  uint64_t sessions = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t memory_budget_bytes = 0;
  uint64_t memory_used_bytes = 0;     // of the budget; shared memory is none of it
  uint64_t outbox_bytes = 0;          // of these: results that clients have not taken
  uint64_t unsettled_bytes = 0;       // of these: what is known of deliveries that are not settled
  uint64_t producer_bytes = 0;        // of these: what is known of producers
  uint64_t ring_bytes = 0;            // shared memory of local clients, beside the budget
  uint64_t producers_pushed_out = 0;  // forgotten for new ones since the broker's start
  std::optional<MemoryQueuesStatus> memory_queues;  // absent: an older broker, which does not tell
  uint64_t disk_bytes = 0;
  uint64_t disk_free_bytes = 0;
  bool disk_low = false;                          // publishers are refused until there is room
  std::chrono::milliseconds wall_clock_ahead{0};  // of broker time; far off: the clock was set
  uint64_t commits = 0;
  uint64_t writes = 0;
  uint64_t syncs = 0;
  std::vector<std::string> listening;
  std::vector<SessionInfo> session_list;
};

}  // namespace client_api
}  // namespace baton
