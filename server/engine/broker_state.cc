#include "server/engine/broker_state.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace baton {

Seq BrokerState::NextSeq() {
  BATON_CHECK_LT(last_seq_counter, kSeqCounterMax - 1);
  return MakeSeq(options.epoch, ++last_seq_counter);
}

absl::Status QueueNotFound(std::string_view name) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kQueueNotFound,
      fmt::format("queue {} does not exist: create it with `baton queue create {}`", name, name));
}

}  // namespace baton
