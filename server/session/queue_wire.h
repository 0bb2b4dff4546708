// Queues and messages as the Admin service shows them, and what an operator sends to change them.
#pragma once

#include "absl/status/statusor.h"
#include "baton/v1/admin.pb.h"
#include "server/engine/outputs.h"
#include "server/engine/queue_config.h"

namespace baton {

v1::Durability ToWire(Durability durability);

void FillQueue(const QueueInfo& info, v1::Queue* wire);
void FillMessage(MessageInfo& info, v1::Message* wire);  // moves the body

// ERRORS: INVALID_ARGUMENT (QUEUE_CONFIG_INVALID) for a value that is not of this version, or is too long for
// any duration. Ranges are the engine's to check, with the queue's other properties.
absl::StatusOr<QueueConfigPatch> ReadQueueConfig(const v1::QueueConfig& wire);

}  // namespace baton
