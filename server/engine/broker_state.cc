#include "server/engine/broker_state.h"

#include <fmt/format.h>

#include "base/error.h"
#include "server/engine/queue_record.h"

namespace baton {
namespace {

constexpr Duration kOverflowWarningEvery = std::chrono::minutes(1);

}  // namespace

void BrokerState::StoreDefinition(const Queue& queue) {
  turn.commit().Put(QueueKey(queue.name), EncodeQueue({.number = queue.number,
                                                       .created = queue.created,
                                                       .paused = queue.paused,
                                                       .skips_damage = queue.skips_damage,
                                                       .hints_are_late = queue.hints_are_late,
                                                       .config = queue.config}));
  turn.Require(Promise::kSynced);
}

void BrokerState::WarnOfOverflow(Queue& queue, Instant now) {
  if (!queue.is_over_limits() || now < queue.warned_of_overflow + kOverflowWarningEvery) return;
  queue.warned_of_overflow = now;
  const std::string_view consequence =
      queue.config.overflow == OverflowPolicy::kReject ? "it takes them all the same, and refuses publishes"
      : queue.config.overflow == OverflowPolicy::kDropOldest
          ? "it drops its oldest messages for them"
          : "it moves its oldest messages to its own dead-letter queue for them";
  warnings.push_back(fmt::format("queue {} is full, and dead letters of other queues come to it: {}",
                                 queue.name, consequence));
}

absl::Status QueueNotFound(std::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kQueueNotFound,
      fmt::format("queue {} does not exist: create it with `baton queue create {}`", name, name));
}

}  // namespace baton
