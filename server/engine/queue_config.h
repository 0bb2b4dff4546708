// What an operator sets on a queue. Every property may change while the queue lives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/limits.h"
#include "base/time.h"

namespace baton {

// The numbers of these enums are stored (storage/format/records.h): never renumber.
enum class Durability : uint8_t { kDurable = 1, kRelaxed = 2, kMemory = 3 };
enum class DeliveryMode : uint8_t { kEager = 1, kCommitted = 2 };
enum class OverflowPolicy : uint8_t { kReject = 1, kDropOldest = 2, kDeadLetterOldest = 3 };
enum class Disposal : uint8_t { kDrop = 1, kDeadLetter = 2, kPark = 3 };

struct QueueConfig {
  Durability durability = Durability::kDurable;
  DeliveryMode delivery = DeliveryMode::kEager;
  Duration lease = kLeaseDefault;               // of a subscription that names none
  uint32_t attempts_max = kAttemptsDefaultMax;  // 0 = unlimited
  Duration backoff{0};                          // after the first failed attempt; doubles with each
  Duration backoff_max = std::chrono::hours(1);
  Disposal exhausted = Disposal::kDeadLetter;  // attempts used up; without a dead-letter queue: parked
  Disposal expired = Disposal::kDrop;
  std::string dead_letter_queue;  // "" = none
  Duration ttl{0};                // of messages without one, and an upper bound for the others; 0 = none
  uint64_t messages_max = 0;      // 0 = no limit
  uint64_t bytes_max = 0;         // bodies and headers; 0 = no limit
  uint64_t in_flight_max = 0;     // leased at a time; 0 = no limit
  OverflowPolicy overflow = OverflowPolicy::kReject;

  friend bool operator==(const QueueConfig&, const QueueConfig&) = default;
};

// A change: what is absent stays.
struct QueueConfigPatch {
  std::optional<Durability> durability;
  std::optional<DeliveryMode> delivery;
  std::optional<Duration> lease;
  std::optional<uint32_t> attempts_max;
  std::optional<Duration> backoff;
  std::optional<Duration> backoff_max;
  std::optional<Disposal> exhausted;
  std::optional<Disposal> expired;
  std::optional<std::string> dead_letter_queue;
  std::optional<Duration> ttl;
  std::optional<uint64_t> messages_max;
  std::optional<uint64_t> bytes_max;
  std::optional<uint64_t> in_flight_max;
  std::optional<OverflowPolicy> overflow;

  QueueConfig ApplyTo(QueueConfig config) const;
  // Does it change what a full queue does?
  bool ChangesOverflow() const {
    return overflow.has_value() || dead_letter_queue.has_value() || messages_max.has_value() ||
           bytes_max.has_value();
  }
};

// The delay before the next attempt after `attempts` failed ones.
Duration BackoffAfter(uint32_t attempts, const QueueConfig& config);

// Of a message with this TTL of its own (0 = none): the queue's is a default and an upper bound. 0 = none.
Duration TtlIn(const QueueConfig& config, Duration own_ttl);

// Ok, or INVALID_ARGUMENT (QUEUE_CONFIG_INVALID) naming the property, its value and its range. Whether the
// dead-letter queue exists is the engine's to check.
absl::Status CheckQueueConfig(const QueueConfig& config);

// The same, for what the oldest messages of a full queue need. A check of its own: an earlier version stored
// queues that fail it.
absl::Status CheckOverflow(const QueueConfig& config);

}  // namespace baton
