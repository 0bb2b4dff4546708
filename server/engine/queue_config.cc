#include "server/engine/queue_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/queue_name.h"

namespace baton {
namespace {

template <class T>
void Apply(const std::optional<T>& change, T& value) {
  if (change.has_value()) value = *change;
}

int64_t Millis(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

absl::Status InvalidConfig(const std::string& what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kQueueConfigInvalid, what);
}

absl::Status CheckDuration(std::string_view property, Duration value, Duration min, Duration max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return InvalidConfig(fmt::format("{} = {} ms is out of range: {} ms to {} ms", property, Millis(value),
                                   Millis(min), Millis(max)));
}

}  // namespace

QueueConfig QueueConfigPatch::ApplyTo(QueueConfig config) const {
  Apply(durability, config.durability);
  Apply(delivery, config.delivery);
  Apply(lease, config.lease);
  Apply(attempts_max, config.attempts_max);
  Apply(backoff, config.backoff);
  Apply(backoff_max, config.backoff_max);
  Apply(exhausted, config.exhausted);
  Apply(expired, config.expired);
  Apply(dead_letter_queue, config.dead_letter_queue);
  Apply(ttl, config.ttl);
  Apply(messages_max, config.messages_max);
  Apply(bytes_max, config.bytes_max);
  Apply(in_flight_max, config.in_flight_max);
  Apply(overflow, config.overflow);
  return config;
}

Duration BackoffAfter(uint32_t attempts, const QueueConfig& config) {
  Duration delay = config.backoff;
  for (uint32_t i = 1; i < attempts && delay < config.backoff_max; ++i) {
    if (delay == Duration(0)) return delay;
    delay *= 2;
  }
  return std::min(delay, config.backoff_max);
}

Duration TtlIn(const QueueConfig& config, Duration own_ttl) {
  if (config.ttl == Duration(0) || own_ttl == Duration(0)) return std::max(config.ttl, own_ttl);
  return std::min(config.ttl, own_ttl);
}

absl::Status CheckQueueConfig(const QueueConfig& config) {
  if (auto status = CheckDuration("lease", config.lease, kLeaseMin, kLeaseMax); !status.ok()) return status;
  if (auto status = CheckDuration("backoff", config.backoff, Duration(0), kDelayMax); !status.ok())
    return status;
  if (auto status = CheckDuration("backoff_max", config.backoff_max, Duration(0), kDelayMax); !status.ok())
    return status;
  if (auto status = CheckDuration("ttl", config.ttl, Duration(0), kTtlMax); !status.ok()) return status;
  if (config.attempts_max > kAttemptsCeiling) {
    return InvalidConfig(fmt::format("attempts_max = {} is out of range: 0 (unlimited) to {}",
                                     config.attempts_max, kAttemptsCeiling));
  }
  if (!config.dead_letter_queue.empty()) {
    if (auto status = CheckQueueName(config.dead_letter_queue); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckOverflow(const QueueConfig& config) {
  if (config.overflow != OverflowPolicy::kDeadLetterOldest || !config.dead_letter_queue.empty()) {
    return absl::OkStatus();
  }
  return InvalidConfig(
      "overflow = dead-letter-oldest needs a dead-letter queue: without one, what is over the limit would be "
      "parked in the queue itself, without bound. Name a dead_letter_queue, or use reject or drop-oldest");
}

}  // namespace baton
