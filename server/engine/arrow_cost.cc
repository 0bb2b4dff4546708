#include "server/engine/arrow_cost.h"

namespace baton {

Cost CostOfExpiry(const Queue& queue) {
  return queue.config.expired == Disposal::kDrop ? Cost::kRemove : Cost::kRewrite;
}

Cost CostOfHint(const Queue& queue) { return queue.is_memory() ? Cost::kRewrite : Cost::kRemove; }

// In a memory queue its row may have to be written again only when it leaves its window: that is asked for
// here, for then there may be no room.
Cost CostOfWake(const Message& message) {
  const Queue& queue = *message.queue;
  const bool keeps_row =
      queue.ready.Covers(message.position()) && queue.delayed.Covers(message.delayed_position());
  return keeps_row && !queue.is_memory() ? Cost::kNothing : Cost::kRewrite;
}

Cost CostOfSpill(const Message& message) {
  const bool is_moved =
      message.state != Message::State::kDelayed && message.home == Message::Home::kDelayedRow;
  return is_moved ? Cost::kRewrite : Cost::kNothing;
}

// Given back, a message may expire at once.
Cost CostOfSettlement(SettleKind kind) {
  switch (kind) {
    case SettleKind::kNack:
    case SettleKind::kDeadLetter:
    case SettleKind::kRelease:
      return Cost::kRewrite;
    case SettleKind::kAck:
      return Cost::kRemove;
    case SettleKind::kExtend:
      break;
  }
  return Cost::kNothing;
}

}  // namespace baton
