// What the arrows of a message's life cost the turn's commit, at most: for whoever asks TurnBudget before.
#pragma once

#include "server/engine/commands.h"
#include "server/engine/deferred_work.h"
#include "server/engine/message.h"
#include "server/engine/queue.h"

namespace baton {

Cost CostOfExpiry(const Queue& queue);
// Of moving the hint of one of its messages. Makes a memory queue grow, by as much at most.
Cost CostOfHint(const Queue& queue);
inline constexpr size_t kMovedHintBytes = 256;
Cost CostOfWake(const Message& message);
Cost CostOfSpill(const Message& message);
Cost CostOfSettlement(SettleKind kind);

}  // namespace baton
