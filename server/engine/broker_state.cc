#include "server/engine/broker_state.h"

#include <fmt/format.h>

#include "base/error.h"
#include "server/engine/queue_record.h"

namespace baton {

void BrokerState::StoreDefinition(const Queue& queue) {
  turn.commit().Put(QueueKey(queue.name), EncodeQueue({.number = queue.number,
                                                       .created = queue.created,
                                                       .paused = queue.paused,
                                                       .skips_damage = queue.skips_damage,
                                                       .hints_are_late = queue.hints_are_late,
                                                       .config = queue.config}));
  turn.Require(Promise::kSynced);
}

absl::Status QueueNotFound(std::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kQueueNotFound,
      fmt::format("queue {} does not exist: create it with `baton queue create {}`", name, name));
}

}  // namespace baton
