#include "server/engine/broker_state.h"

#include <fmt/format.h>

#include "base/error.h"

namespace baton {

absl::Status QueueNotFound(std::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kQueueNotFound,
      fmt::format("queue {} does not exist: create it with `baton queue create {}`", name, name));
}

}  // namespace baton
