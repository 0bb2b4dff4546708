#include "server/engine/broker_state.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace baton {

Seq BrokerState::NextSeq() {
  BATON_CHECK_LT(last_seq_counter, kSeqCounterMax - 1);
  return MakeSeq(options.epoch, ++last_seq_counter);
}

absl::Status BrokerState::RoomInMemory(size_t bytes) {
  const size_t needed = MemoryBytes() + bytes;
  if (needed <= memory_room.grow && bytes <= memory_room.largest) return absl::OkStatus();
  if (!options.make_memory_room) return absl::FailedPreconditionError("there is no shared memory");
  return options.make_memory_room(needed, bytes, memory_room);
}

absl::Status QueueNotFound(std::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kQueueNotFound,
      fmt::format("queue {} does not exist: create it with `baton queue create {}`", name, name));
}

}  // namespace baton
